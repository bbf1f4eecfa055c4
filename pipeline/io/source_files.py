"""Which source files decide what a stage writes, and the hash of each.

Every stage of dvc.yaml depends on one small file that lists them (`stages.trace_code`) and not on
some forty files each: DVC reads and writes all it knows of the pipeline again after each stage,
which took it longer than many a stage. Measured by `benchmarks/tracing.py`.
"""

import hashlib
from pathlib import Path

import grimp

from pipeline.io.errors import UserError

PACKAGES = ("pipeline", "stages")


def traced(root: Path, stages: str = "stages") -> dict[str, dict[str, str]]:
    """The source files of every stage's script: itself and all that it imports, at any depth.

    Imports count wherever they are written, in a function too. With a module count the files of its
    folder that are no Python, as it may read them (the report's page.html).

    Args:
        root: the repository; it must be where Python finds the packages.
        stages: the package of the scripts.

    Returns:
        By script, without ending: the files, relative to `root`, and their SHA-256.

    Raises:
        UserError: a file is not Python.
    """
    try:
        graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    except grimp.exceptions.SourceSyntaxError as error:
        raise UserError(
            f"{error.filename}: not Python, got {error.text!r} in line {error.lineno}; mend it"
        ) from None
    scripts = sorted(path for path in (root / stages).glob("*.py") if path.stem != "__init__")
    hashes = {path: _sha256(root / path) for path in _sources(root)}
    found = {}
    for script in scripts:
        module = f"{stages}.{script.stem}"
        modules = {_file(root, name) for name in {module, *graph.find_upstream_modules(module)}}
        folders = {path.parent for path in modules}
        used = {
            path
            for path in hashes
            if path in modules or (path.suffix != ".py" and path.parent in folders)
        }
        found[script.stem] = {path.as_posix(): hashes[path] for path in sorted(used)}
    return found


def _sources(root: Path) -> list[Path]:
    paths = (path for package in PACKAGES for path in (root / package).rglob("*"))
    relative = (path.relative_to(root) for path in paths if path.is_file())
    return sorted(path for path in relative if "__pycache__" not in path.parts)


def _file(root: Path, module: str) -> Path:
    path = Path(*module.split("."))
    return path / "__init__.py" if (root / path).is_dir() else path.with_suffix(".py")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
