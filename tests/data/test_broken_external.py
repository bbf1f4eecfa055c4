"""A broken set of another domain: the stage names the section and lists the problems likewise."""

import csv
import json

import pytest

from pipeline.io.errors import run
from pipeline.io.manifests import read_manifest
from stages import preprocess_external
from tests.data import broken_sets as sets


@pytest.fixture
def external(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = sets.write_set(tmp_path / "set")
    (root / "images" / sets.name_of(sets.BROKEN)).write_bytes(b"")

    def with_problems(on_problem):
        params = json.loads(sets.params_text(root, sets.COCO, on_problem=on_problem))
        split = {"train": 0.0, "val": 0.0, "test": 1.0}
        params["external"] = {"enabled": True, "dataset": params["dataset"], "split": split}
        params["external"]["finetuning"] = {}
        (tmp_path / "params.yaml").write_text(json.dumps(params))
        run(preprocess_external.main)

    return with_problems


def _listed(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [row["photo"] for row in csv.DictReader(file)]


def test_a_broken_external_set_is_refused(external, tmp_path, capsys):
    with pytest.raises(SystemExit, match="1"):
        external("stop")
    told = capsys.readouterr().err
    assert told.startswith("error: the external data set (section external): 1 problem in")
    assert f"{sets.name_of(sets.BROKEN)}: format: got an empty file" in told
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["external.problems.csv"]
    assert _listed(tmp_path / "data/external.problems.csv") == [sets.name_of(sets.BROKEN)]


def test_its_broken_photos_can_be_skipped(external, tmp_path):
    external("skip")
    assert len(read_manifest(tmp_path / "data/external")) == sets.TOTAL - 1
    assert _listed(tmp_path / "data/external/problems.csv") == [sets.name_of(sets.BROKEN)]
