"""What dvc.yaml declares against what the scripts do, without running the pipeline."""

import ast
import importlib
import re
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

from pipeline.io.source_files import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
# Who may read a test set, and which.
TEST_SETS = {
    "stages/train_segmenters.py": "data/prepared",
    "stages/finetune_segmenters.py": "data/external",
}
# Who looks at test photos without measuring anything: a copy of a training photo among them is what
# it searches for. No masks, nothing trained, and no training may depend on what it writes.
AUDITS = {"stages/audit_split.py": "data/audit"}
DVC_FILES = ["dvc.yaml", "data/demo/dvc.yaml", "data/lemons/dvc.yaml"]


def _stages():
    for name in DVC_FILES:
        content = YAML(typ="safe", pure=True).load((ROOT / name).read_text())
        for stage, entry in content["stages"].items():
            yield pytest.param(name, entry, id=stage)


def _module_of(command: str) -> str:
    words = command.split()
    return words[words.index("-m") + 1]


def _file_of(module: str) -> str:
    return str(Path(*module.split(".")).with_suffix(".py"))


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("pipeline", "stages", cache_dir=None)


@pytest.mark.parametrize(("dvc_file", "stage"), _stages())
def test_every_stage_waits_for_its_own_code_to_be_traced(dvc_file, stage):
    script = _module_of(stage["cmd"]).removeprefix("stages.")
    code = [dep for dep in stage["deps"] if ".py" in dep or dep.startswith("data/code")]
    if script == "trace_code":
        assert stage["deps"] == list(PACKAGES) and stage["outs"] == ["data/code"]
    else:
        assert code == [f"data/code/{script}.json"]
    assert (ROOT / Path(dvc_file).parent / stage.get("wdir", ".")).resolve() == ROOT


def test_only_the_final_evaluation_reads_the_test_set():
    readers = set()
    for folder in ("pipeline", "stages"):
        for path in (ROOT / folder).rglob("*.py"):
            names = {
                node.id if isinstance(node, ast.Name) else node.name
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Name | ast.alias)
            }
            if "read_test" in names:
                readers.add(str(path.relative_to(ROOT)))
    assert readers == set(TEST_SETS) | set(AUDITS)


def test_no_training_learns_from_an_audit_of_test_photos(imports):
    content = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
    for script, out in AUDITS.items():
        module = str(Path(script).with_suffix("")).replace("/", ".")
        trainers = ("pipeline.training", "pipeline.segmentation", "pipeline.diffusion")
        used = imports.find_upstream_modules(module)
        assert not [name for name in used if name.startswith((*trainers, "pipeline.data.pairs"))]
        users = {name for name, stage in content.items() if out in stage.get("deps", [])}
        assert users <= {"report"}


@pytest.mark.parametrize(("script", "folder"), TEST_SETS.items())
def test_each_reader_reads_its_own_test_set_once_and_after_the_training(script, folder):
    tree = ast.parse((ROOT / script).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [
        (call, call.func.id if isinstance(call.func, ast.Name) else call.func.attr)
        for call in calls
        if isinstance(call.func, ast.Name | ast.Attribute)
    ]
    (reading,) = [call for call, name in named if name == "read_test"]
    (trained,) = [call for call, name in named if name in ("train_run", "finetune")]
    assert trained.end_lineno < reading.lineno
    module = importlib.import_module(str(Path(script).with_suffix("")).replace("/", "."))
    assert getattr(module, reading.args[0].id) == Path(folder)


def test_parameters_to_lower_for_want_of_memory_exist():
    params = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    named = {}
    for path in (ROOT / "stages").glob("*.py"):
        told = re.findall(r'run\(main, lower="(.+)"\)', path.read_text())
        named |= {name: path.name for text in told for name in text.split(" or ")}
    assert len(named) > 10
    for name, script in named.items():
        section = name.split(".")[0]
        kinds = [k for k, v in params[section].items() if isinstance(v, dict) and "training" in v]
        for kind in kinds if "<kind>" in name else [""]:
            node = params
            for part in name.replace("<kind>", kind).split("."):
                assert part in node, f"{script}: {name}"
                node = node[part]


def test_every_stage_script_belongs_to_a_stage():
    used = {_file_of(_module_of(param.values[1]["cmd"])) for param in _stages()}
    scripts = {f"stages/{p.name}" for p in (ROOT / "stages").glob("*.py") if p.stem != "__init__"}
    assert scripts == used


def test_outs_are_ignored_by_git():
    ignored = (ROOT / ".gitignore").read_text().split()
    content = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())
    for stage in content["stages"].values():
        for out in stage["outs"]:
            if isinstance(out, dict):  # cache: false, kept in Git
                continue
            assert any(f"/{out}".startswith(line) for line in ignored if line.startswith("/")), out


def test_no_stage_begins_before_all_parameters_are_checked():
    """The shell is given names of mixes, and hours are spent, only after that."""
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
    checked = {"check-parameters"}
    before = {"trace-code"}  # reads no parameter
    waiting = {name: _deps(e) for name, e in stages.items() if name not in checked | before}
    while waiting:
        outs = {out for name in checked for out in _outs(stages[name])}
        ready = [name for name, deps in waiting.items() if deps & outs]
        assert ready, f"can run without check-parameters: {', '.join(waiting)}"
        checked |= {ready[0]}
        del waiting[ready[0]]
    assert len(checked | before) == len(stages) > 15


def _deps(entry) -> set[str]:
    """Folders and files of data, those of an item of a matrix by the folder they lie in."""
    return {dep.split("/$")[0] for dep in entry["deps"]}


def _outs(entry) -> set[str]:
    paths = [next(iter(out)) if isinstance(out, dict) else out for out in entry["outs"]]
    return {path.split("/$")[0] for path in paths}
