"""Studies over a DVC pipeline of one stage that takes no time."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline.io.params import read_params
from pipeline.studies.experiments import Experiments
from tests.studies.conftest import PARAMS, STUDY

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CELLS = 2
# all that the pipeline has, as every cell is checked before it is run
DEMO = read_params(ROOT / "presets/demo.yaml")
WHOLE = DEMO | {
    name: DEMO[name] | own if isinstance(own, dict) else own for name, own in PARAMS.items()
}
SHORT_STUDY = STUDY | {
    "common": {"filter.score": "miou", "filter.keep": 0.5},
    "axes": {"masks": STUDY["axes"]["masks"]},
}
# What the real pipeline's last stages write, without any training. $MARKS counts the runs; a file
# there breaks or delays the cells of a mask source.
STAGE = """
import json, os, pathlib, sys, time
import pandas as pd
from ruamel.yaml import YAML

params = YAML(typ="safe", pure=True).load(pathlib.Path("params.yaml"))
source, keep = params["masks"]["source"], params["filter"]["keep"]
marks = pathlib.Path(os.environ["MARKS"])
with (marks / "ran").open("a") as file:
    file.write(f"{source} {keep}\\n")
if (marks / f"break-{source}").exists():
    sys.exit("the oven is cold")
if (marks / f"delay-{source}").exists():
    time.sleep(60)
rows = [
    (architecture, mix, seed, shown, 0.5 + 0.01 * seed + 0.02 * (source == "augmented"))
    for architecture in ("unetplusplus", "fpn")
    for mix in params["segmenters"]["mixes"]
    for seed in (0, 1)
    for shown in ("defect", "all")
]
for mix in params["segmenters"]["mixes"]:
    folder = pathlib.Path("data/mixes") / mix
    folder.mkdir(parents=True)
    (folder / "mix.json").write_text(json.dumps({"pairs": {"train_real": 8, "train_synthetic": 4}}))
pathlib.Path("data/filtered").mkdir()
kept = [True, keep == "all"]
pd.DataFrame({"id": ["a", "b"], "kept": kept}).to_parquet("data/filtered/scores.parquet")
pathlib.Path("metrics").mkdir(exist_ok=True)
columns = ["architecture", "mix", "seed", "class", "iou"]
pd.DataFrame(rows, columns=columns).to_csv("metrics/segmentation.csv", index=False)
fold = params["split"]["fold"]
sums = [
    ("defect_iou", architecture, mix, seed, 0, f"fruit {fold} {index}", 10.0 + index + gain, 20.0)
    for architecture in ("unetplusplus", "fpn")
    for mix, gain in zip(params["segmenters"]["mixes"], (0, 4, 0, 0))
    for seed in (0, 1)
    for index in range(3 + fold)
]
columns = ["figure", "architecture", "mix", "seed", "class_index", "group"]
columns += ["numerator", "denominator"]
pd.DataFrame(sums, columns=columns).to_parquet("metrics/group_sums.parquet", index=False)
"""
DVC = {
    "stages": {
        "all": {
            "cmd": "python stage.py",
            "deps": ["stage.py"],
            "params": ["masks", "filter", "segmenters", "split", "report"],
            "outs": [
                "data/mixes",
                "data/filtered",
                "metrics/group_sums.parquet",
                {"metrics/segmentation.csv": {"cache": False}},
            ],
        }
    }
}
ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "someone",
    "GIT_AUTHOR_EMAIL": "someone@example.org",
    "GIT_COMMITTER_NAME": "someone",
    "GIT_COMMITTER_EMAIL": "someone@example.org",
}


def write_yaml(path: Path, content: dict) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        YAML().dump(content, file)


def environment(folder: Path) -> dict[str, str]:
    known = {
        name: text
        for name, text in os.environ.items()
        if name not in ("DVC_ROOT", "RANK", "LOCAL_RANK") and not name.startswith("GIT_")
    }
    path = f"{BIN}:{known['PATH']}"
    marks = str(folder.with_name("marks"))
    return known | ENVIRONMENT | {"PATH": path, "PYTHONPATH": str(ROOT), "MARKS": marks}


def sh(folder: Path, *command: str) -> str:
    return subprocess.run(
        command, cwd=folder, env=environment(folder), text=True, capture_output=True, check=True
    ).stdout


def commit(folder: Path) -> None:
    sh(folder, "git", "add", "-A")
    sh(folder, "git", "commit", "-qm", "a state")


def study(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.studies.run", *arguments],
        cwd=folder, env=environment(folder), text=True, capture_output=True, check=False,
    )  # fmt: skip


def ran(folder: Path) -> list[str]:
    """What the stage was run with since the last call."""
    path = folder.with_name("marks") / "ran"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


@pytest.fixture
def project(tmp_path) -> Path:
    """A repository with one stage and the study `masks`."""
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "marks").mkdir()
    (folder / "stage.py").write_text(STAGE)
    (folder / ".gitignore").write_text(
        "/data/mixes\n/data/filtered\n/metrics/*.parquet\n/.checkpoints/\n"
    )
    write_yaml(folder / "params.yaml", WHOLE)
    write_yaml(folder / "dvc.yaml", DVC)
    write_yaml(folder / "studies" / "masks.yaml", SHORT_STUDY)
    sh(folder, "git", "init", "-q")
    return folder


@pytest.fixture
def kitchen(project) -> Path:
    """The project under DVC, committed."""
    sh(project, "dvc", "init", "-q")
    commit(project)
    return project


def digest(project: Path, params: dict = PARAMS) -> str:
    return Experiments(project).digest(params)


def test_the_hash_covers_what_a_stage_may_read(project):
    commit(project)
    first = digest(project)
    (project / "docs").mkdir()
    (project / "docs" / "page.md").write_text("text")
    (project / "README.md").write_text("text")
    (project / "dvc.lock").write_text("{}")
    assert digest(project) == first
    commit(project)
    assert digest(project) == first  # nor does the commit matter
    assert digest(project, PARAMS | {"masks": {"source": "augmented"}}) != first
    (project / "stage.py").write_text(STAGE + "# changed\n")
    changed = digest(project)
    assert changed != first
    commit(project)
    assert digest(project) == changed  # committed or not


def test_names_files_that_git_does_not_know(project):
    commit(project)
    (project / "helper.py").write_text("")
    (project / "docs").mkdir()
    (project / "docs" / "page.md").write_text("")
    assert Experiments(project).untracked() == ["helper.py"]
    sh(project, "git", "add", "helper.py")
    assert Experiments(project).untracked() == []


def test_dry_run_lists_the_cells(project):
    commit(project)
    done = study(project, "masks", "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert len(lines) == CELLS
    assert all(line.endswith(": to be run") for line in lines)
    assert '    masks.source: "augmented"' in done.stdout
    assert ran(project) == []


def test_an_unknown_study(project):
    commit(project)
    done = study(project, "mask")
    assert done.returncode == 1
    assert done.stderr.startswith("error: NAME: got 'mask', expected a study of studies: masks")


def test_wrong_parameters_of_the_last_cell_are_told_before_the_first_is_run(project):
    axis = {"real": {"masks.source": "real"}, "drawn": {"masks.source": "drawn", "seed": -1}}
    write_yaml(project / "studies" / "masks.yaml", SHORT_STUDY | {"axes": {"masks": axis}})
    commit(project)
    done = study(project, "masks")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: studies/masks.yaml: axes.masks.drawn: seed: got -1, expected greater than or equal "
        "to 0 (cell drawn)",
        "       axes.masks.drawn: masks.source: got 'drawn', expected 'real', 'augmented' or "
        "'diffusion' (cell drawn)",
    ]
    assert done.stdout == "" and ran(project) == []


def test_a_parameter_that_no_stage_has_is_told_with_its_axis(project):
    axis = {"real": {"masks.source": "real"}, "other": {"masks.sorce": "augmented"}}
    write_yaml(project / "studies" / "masks.yaml", SHORT_STUDY | {"axes": {"masks": axis}})
    commit(project)
    done = study(project, "masks", "--dry-run")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: studies/masks.yaml: axes.masks.other: masks.sorce: missing; masks has: source"
    )


@pytest.mark.slow
def test_failed_cells_are_run_again_finished_ones_are_not_and_lost_files_are_told(kitchen):
    results = kitchen / "docs/results/masks"
    marks = kitchen.with_name("marks")
    (marks / "break-real").touch()
    done = study(kitchen, "masks")
    assert done.returncode == 1
    assert ran(kitchen) == ["real 0.5", "augmented 0.5"]
    assert done.stderr.startswith("error: 1 of 2 cells failed")
    assert "study-masks-real-" in done.stderr
    assert "the oven is cold" in done.stderr
    assert "Traceback" not in done.stderr
    assert not results.exists()
    assert not list((kitchen / "metrics").glob("*"))  # the working folder is left alone

    (marks / "break-real").unlink()
    done = study(kitchen, "masks")
    assert done.returncode == 0, done.stderr
    assert ran(kitchen) == ["real 0.5"]
    assert sorted(path.name for path in results.iterdir()) == [
        "README.md",
        "masks.csv",
        "masks.png",
    ]
    table = pd.read_csv(results / "masks.csv")
    assert len(table) == CELLS * 2 * len(PARAMS["segmenters"]["mixes"])
    means = table.groupby("masks")["defect_iou"].mean()
    assert means.to_dict() == pytest.approx({"real": 0.505, "augmented": 0.525})
    assert set(table["kept"]) == {1}

    before = {path.name: path.read_bytes() for path in results.iterdir()}
    commit(kitchen)
    done = study(kitchen, "masks")
    assert done.returncode == 0, done.stderr
    assert ran(kitchen) == []
    assert done.stdout.count("finished before") == CELLS
    assert {path.name: path.read_bytes() for path in results.iterdir()} == before

    shutil.rmtree(kitchen / ".dvc" / "cache")
    done = study(kitchen, "masks")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: data/mixes/real_all/mix.json: not found in the experiment"
    )
    name = re.search(r"dvc exp remove (\S+)\)", done.stderr.replace("\n", " "))[1]
    sh(kitchen, "dvc", "exp", "remove", name)
    assert name not in Experiments(kitchen).finished()


@pytest.mark.slow
def test_an_interrupted_study_goes_on_and_takes_in_what_is_not_committed(kitchen):
    (kitchen / "stage.py").write_text(STAGE.replace("0.02", "0.04"))
    write_yaml(kitchen / "params.yaml", WHOLE | {"filter": WHOLE["filter"] | {"keep": 3}})
    marks = kitchen.with_name("marks")
    (marks / "delay-augmented").touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.studies.run", "masks"],
        cwd=kitchen, env=environment(kitchen), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (marks / "ran").exists() or "augmented" not in (marks / "ran").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped by SIGINT; what was finished is kept" in errors
    assert ran(kitchen) == ["real 0.5", "augmented 0.5"]
    (marks / "delay-augmented").unlink()
    done = study(kitchen, "masks")
    assert done.returncode == 0, done.stderr
    assert ran(kitchen) == ["augmented 0.5"]
    table = pd.read_csv(kitchen / "docs/results/masks/masks.csv")
    assert table.groupby("masks")["defect_iou"].mean()["augmented"] == pytest.approx(0.545)
    assert sh(kitchen, "git", "status", "--short").split() == [
        "M", "params.yaml", "M", "stage.py", "??", "docs/"
    ]  # fmt: skip


@pytest.mark.slow
def test_folds_are_one_experiment_each_and_one_row_together(kitchen):
    """Groups of 3 and 4, hits 4 of 20 pixels higher in each: no doubt about the gain."""
    content = SHORT_STUDY | {"collect": {"defect_iou": {"sums": "defect_iou"}}}
    write_yaml(kitchen / "studies" / "masks.yaml", content)
    done = study(kitchen, "masks", "--folds", "2")
    assert done.returncode == 0, done.stderr
    assert ran(kitchen) == ["real 0.5"] * 2 + ["augmented 0.5"] * 2
    results = kitchen / "docs/results/masks-2-folds"
    table = pd.read_csv(results / "masks-2-folds.csv").set_index(["masks", "architecture", "mix"])
    assert len(table) == CELLS * 2 * len(PARAMS["segmenters"]["mixes"])
    both = table.loc[("augmented", "fpn", "both")]
    # (10 + 11 + 12) + (10 + 11 + 12 + 13) hits of 7 · 20
    assert both["defect_iou"] == pytest.approx(79 / 140 + 0.2)
    assert both["defect_iou_difference"] == pytest.approx(0.2)
    assert (both["defect_iou_verdict"], both["seeds"]) == ("better", 2)
    page = (results / "README.md").read_text()
    assert "make study NAME=masks FOLDS=2" in page
    assert "means over 2 seeds, the test photos of 2 folds together" in page
    assert "tested by the one of 2 folds" in page
