"""The source files of each stage: all that it imports, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.io.source_files import traced

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "pipeline/__init__.py": "",
    "pipeline/io/__init__.py": "",
    "pipeline/io/a.py": "",
    "pipeline/io/b.py": "from pipeline.io import a\n",
    "pipeline/io/c.py": "",
    "pipeline/pages/__init__.py": "",
    "pipeline/pages/d.py": "def late():\n    from pipeline.io import c\n",
    "pipeline/pages/page.html": "<p>",
    "stages/__init__.py": "import signal\n",
    "stages/one.py": "from pipeline.io.b import x\n",
    "stages/two.py": "import pipeline.pages.d\n",
}


@pytest.fixture
def project(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "pipeline/io/__pycache__").mkdir()
    (tmp_path / "pipeline/io/__pycache__/a.pyc").write_bytes(b"0")
    (tmp_path / "pipeline/io/trace.py").write_bytes(
        (ROOT / "pipeline/io/source_files.py").read_bytes()
    )
    (tmp_path / "pipeline/io/errors.py").write_text("class UserError(Exception): pass\n")
    return tmp_path


def trace(project):
    """In a process of its own, as `pipeline` is another package there."""
    program = (
        "import json; from pathlib import Path; from pipeline.io.trace import traced\n"
        "print(json.dumps(traced(Path.cwd())))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_imports_of_imports_late_ones_and_files_beside_them(project):
    found = trace(project)
    assert list(found["one"]) == ["pipeline/io/a.py", "pipeline/io/b.py", "stages/one.py"]
    assert list(found["two"]) == [
        "pipeline/io/c.py", "pipeline/pages/d.py", "pipeline/pages/page.html", "stages/two.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "stages"),
    [
        ("pipeline/io/a.py", {"one"}),
        ("pipeline/io/c.py", {"two"}),
        ("pipeline/pages/page.html", {"two"}),
        ("stages/one.py", {"one"}),
        ("pipeline/io/errors.py", set()),
    ],
)
def test_a_change_is_one_of_the_stages_that_use_the_file(project, changed, stages):
    before = trace(project)
    with (project / changed).open("a") as file:
        file.write("\n# changed\n")
    after = trace(project)
    assert {name for name in before if before[name] != after[name]} == stages


def test_what_is_no_python_is_named(project):
    (project / "pipeline/io/c.py").write_text("def (:\n")
    program = "from pathlib import Path; from pipeline.io.trace import traced; traced(Path.cwd())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False
    )
    assert "UserError" in done.stderr
    assert "pipeline/io/c.py: not Python, got 'def (:' in line 1" in done.stderr


@pytest.mark.parametrize("stage", ["check_parameters", "compose_mixes"])
def test_all_that_a_stage_does_import_is_traced(stage):
    program = (
        f"import sys, json, stages.{stage}\n"
        "files = [getattr(m, '__file__', None) or '' for m in sys.modules.values()]\n"
        "print(json.dumps([f for f in files if not f.endswith('__init__.py')]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    used = {Path(name) for name in json.loads(done.stdout)}
    ours = {str(p.relative_to(ROOT)) for p in used if p.is_relative_to(ROOT / "pipeline")}
    assert len(ours) > 5
    # what stages/__init__.py does makes the start shorter and no out another
    assert ours - {"pipeline/io/imports.py"} <= set(traced(ROOT)[stage])


def test_only_the_scripts_of_stages_are_listed():
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    found = traced(ROOT)
    assert set(found) == scripts
    assert "pipeline/reporting/page.html" in found["report"]
    assert not {name for name in found["sample"] if name.startswith("pipeline/reporting/")}
