"""What DVC itself takes, with source files listed in dvc.yaml and with `stages.trace_code`.

python -m benchmarks.tracing [--repeats 3]

Two pipelines with this repository's stages, parameters and source files, whose commands only make
their outs. In one every stage lists its source files as deps, in the other the file that
trace-code wrote about them (its run is counted). Each is run once and then again with nothing to
do; processor seconds of DVC and the commands, the two ways in turn, medians.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.io.params import read_yaml
from pipeline.io.source_files import PACKAGES, traced

ROOT = Path(__file__).resolve().parents[1]
TRACED = "data/code/"
WAYS = ("listed", "traced")
YAML_FILES = YAML(typ="safe", pure=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table row for a run and one for a run with nothing to do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args(arguments).repeats
    taken: dict[str, dict[str, list[float]]] = {"all stages": {}, "nothing to do": {}}
    for _ in range(repeats):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as folder:
                _write_project(Path(folder), way)
                for seconds in taken.values():
                    seconds.setdefault(way, []).append(processor_s(Path(folder)))
    print("| `dvc repro` | listed s | traced s | ratio |\n|---|---|---|---|")
    for name, seconds in taken.items():
        listed, short = (statistics.median(seconds[way]) for way in WAYS)
        ratio = statistics.median(a / b for a, b in zip(*seconds.values(), strict=True))
        print(f"| {name} | {listed:.1f} | {short:.1f} | {ratio:.2f} |")


def processor_s(folder: Path) -> float:
    """Processor time of `dvc repro` in a folder, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _dvc(folder, "repro")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def _dvc(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments, "--quiet"],
        cwd=folder,
        env=os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath])},
        check=True,
    )


def _write_project(folder: Path, way: str) -> None:
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("params.yaml", ".dvcignore"):
        shutil.copyfile(ROOT / name, folder / name)
    sources = traced(ROOT)
    stages = YAML_FILES.load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    mixes = read_yaml(ROOT / "params.yaml")["segmenters"]["mixes"]
    # an out of whose folders others depend on one each
    inside = {"data/mixes": [f"data/mixes/{name}" for name in mixes]}
    if way == "listed":
        del stages["trace-code"]
    for name, stage in stages.items():
        if name != "trace-code":
            stages[name] = _of_commands_only(stage, inside, sources if way == "listed" else None)
    with (folder / "dvc.yaml").open("w", encoding="utf-8") as file:
        YAML_FILES.dump({"stages": stages}, file)
    _dvc(folder, "init", "--no-scm")


def _of_commands_only(
    stage: dict[str, Any], inside: dict[str, list[str]], sources: dict[str, Any] | None
) -> dict[str, Any]:
    """The stage with a command that makes its outs, and without photos, which are not there."""
    outs = [
        next(iter(out)) if isinstance(out, dict) else out
        for out in stage["outs"] + stage.get("metrics", [])
    ]
    deps = []
    for dep in stage["deps"]:
        if dep.startswith(TRACED) and sources is not None:
            deps += sources[Path(dep).stem]
        elif "dataset.path" not in dep:
            deps.append(dep)
    files = [file for out in outs for file in inside.get(out, [out])]
    made = " ".join(json.dumps(file) for file in files)
    folders = " ".join(json.dumps(str(Path(file).parent)) for file in files)
    kept = {key: stage[key] for key in ("matrix", "params") if key in stage}
    return kept | {"cmd": f"mkdir -p {folders} && touch {made}", "deps": deps, "outs": outs}


if __name__ == "__main__":
    main()
