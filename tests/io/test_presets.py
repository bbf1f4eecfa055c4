import shutil
import sys
from pathlib import Path

import pytest

from pipeline.io import presets
from pipeline.io.errors import UserError
from pipeline.io.params import read_yaml
from pipeline.io.presets import compose, set_data, write_params

PRESETS = Path(__file__).resolve().parents[2] / "presets"

DEMO = """\
seed: 0  # of everything
segmenters:
  training:
    steps: 10  # optimiser steps
  mixes:
    real_all:
      real: all
    real_16:
      real: 16
subsets:
  mould:
    classes: 1
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "demo.yaml").write_text(DEMO)
    return tmp_path


def test_a_preset_changes_leaves_and_keeps_comments(folder):
    (folder / "big.yaml").write_text("segmenters:\n  training:\n    steps: 99\n")
    write_params(compose("big", folder), folder / "params.yaml")
    text = (folder / "params.yaml").read_text()
    assert text == DEMO.replace("steps: 10", "steps: 99")


def test_mixes_are_replaced_whole_and_subsets_added(folder):
    (folder / "two.yaml").write_text(
        "segmenters:\n  mixes:\n    synthetic:\n      real: 0\nsubsets:\n  mine:\n    classes: 2\n"
    )
    params = compose("two", folder)
    assert list(params["segmenters"]["mixes"]) == ["synthetic"]
    assert list(params["subsets"]) == ["mould", "mine"]


def test_a_preset_extends_another(folder):
    (folder / "a.yaml").write_text("seed: 1\nsegmenters:\n  training:\n    steps: 1\n")
    (folder / "b.yaml").write_text("extends: a\nseed: 2\n")
    params = compose("b", folder)
    assert (params["seed"], params["segmenters"]["training"]["steps"]) == (2, 1)


def test_a_misspelt_parameter_is_named(folder):
    (folder / "bad.yaml").write_text("segmenters:\n  training:\n    stepz: 1\n")
    with pytest.raises(UserError, match=r"segmenters\.training\.stepz: not a parameter"):
        compose("bad", folder)


def test_an_unknown_preset_lists_the_known(folder):
    with pytest.raises(UserError, match="got 'nope', expected one of demo"):
        compose("nope", folder)


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_composes(path, tmp_path):
    write_params(compose(path.stem, PRESETS), tmp_path / "params.yaml")
    assert read_yaml(tmp_path / "params.yaml").keys() == read_yaml(PRESETS / "demo.yaml").keys()


def test_data_of_both_domains_come_from_one_folder_if_the_preset_says_so():
    together = {"dataset": {"path": "<rice>"}, "external": {"dataset": {"path": "<rice>"}}}
    set_data(together, "/data/rice")
    assert together["dataset"]["path"] == together["external"]["dataset"]["path"] == "/data/rice"
    apart = {"dataset": {"path": "<wheat>"}, "external": {"dataset": {"path": "<other>"}}}
    set_data(apart, "/data/wheat")
    assert apart["external"]["dataset"]["path"] == "<other>"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command line in a copy of the repository's presets; gives dataset.path."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PRESETS, tmp_path / "presets")

    def write(*words):
        monkeypatch.setattr(sys, "argv", ["presets", *map(str, words)])
        presets.main()
        return read_yaml(tmp_path / "params.yaml")["dataset"]["path"]

    return write


def test_the_command_writes_a_preset_and_says_what_is_left_to_do(command, capsys):
    assert command("wheat-synthset").startswith("<folder")
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("params.yaml: preset wheat-synthset, data set <folder")
    assert [line.split(" is ")[0] for line in told[1:]] == ["dataset.path", "external.dataset.path"]
    assert command("smoke") == "data/demo"
    assert capsys.readouterr().out == "params.yaml: preset smoke, data set data/demo\n"


def test_the_command_takes_a_folder_relative_if_it_lies_inside(command, tmp_path, tmp_path_factory):
    (tmp_path / "mine").mkdir()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert command("tiles", "--data", "mine") == "mine"
    assert command("tiles", "--data", elsewhere) == str(elsewhere)
    assert command("tiles", "--data", Path("..") / tmp_path.name / "mine").endswith("/mine")


def test_the_command_changes_nothing_for_a_folder_that_is_none(command, tmp_path):
    command("smoke")
    before = (tmp_path / "params.yaml").read_bytes()
    with pytest.raises(UserError, match="DATA: got nowhere, expected a folder"):
        command("tiles", "--data", "nowhere")
    assert (tmp_path / "params.yaml").read_bytes() == before
