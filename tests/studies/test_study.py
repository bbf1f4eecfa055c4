"""Reading a study, and its grid."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.data.mix_settings import read_mixes
from pipeline.io.errors import UserError
from pipeline.io.params import section
from pipeline.io.presets import compose
from pipeline.masks.sources import MaskSettings
from pipeline.segmentation.external_settings import ExternalSettings
from pipeline.segmentation.filtering import FilterSettings
from pipeline.studies.study import StudySettings, read_study, span_cells
from tests.studies.conftest import PARAMS, STUDY

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, content: dict) -> None:
    with (folder / "masks.yaml").open("w") as file:
        YAML().dump(content, file)


def test_the_grid(cells):
    assert [cell.values for cell in cells] == [
        {"masks": "real", "filter": "none"},
        {"masks": "real", "filter": "best half"},
        {"masks": "augmented", "filter": "none"},
        {"masks": "augmented", "filter": "best half"},
    ]
    assert [cell.name for cell in cells][3] == "augmented-best-half"
    last = cells[3].params
    assert last["masks"]["source"] == "augmented"
    assert last["filter"] == {"score": "miou", "keep": 0.5}  # over what all cells have in common
    assert last["segmenters"] == PARAMS["segmenters"]
    assert cells[3].changes == {
        "masks.source": "augmented", "filter.score": "miou", "filter.keep": 0.5,
    }  # fmt: skip


def test_cells_may_be_left_out(study):
    left = study.model_copy(update={"leave_out": [{"masks": "real", "filter": "none"}]})
    names = [cell.name for cell in span_cells(left, PARAMS)]
    assert names == ["real-best-half", "augmented-none", "augmented-best-half"]
    whole = study.model_copy(update={"leave_out": [{"filter": "best half"}]})
    assert [cell.name for cell in span_cells(whole, PARAMS)] == ["real-none", "augmented-none"]


def test_the_synthset_tables_have_the_papers_rows():
    params = dict(compose("demo", ROOT / "presets"))
    methods = span_cells(read_study("synthset-table-1", ROOT / "studies"), params)
    rows = []
    for cell in methods:
        model = cell.params["image_dm"]
        pair = model["pair"]
        rows.append(
            (pair["network"]["architecture"], pair["discriminator"]["enabled"])
            if model["kind"] == "pair"
            else model["kind"]
        )
        assert (
            cell.params["external"]["enabled"] and cell.params["external"]["finetuning"]["enabled"]
        )
    assert rows == [
        ("concat", False), ("concat", True), ("shared_encoder", False), ("two_encoder", False),
        ("two_encoder", True), "copy_paste",
    ]  # fmt: skip
    steps = span_cells(read_study("synthset-table-2", ROOT / "studies"), params)
    drawn = [
        (
            cell.params["sampling"]["first"],
            *(cell.params["sampling"]["superres"][key] for key in ("sampler", "steps")),
        )
        for cell in steps
    ]
    assert drawn == [
        (first, sampler, count)
        for first in (0, 100000)
        for sampler, counts in (("ddpm", (1000, 500, 250, 100)), ("ddim", (500, 250, 100)))
        for count in counts
    ]


def test_reads_its_file(tmp_path):
    write(tmp_path, STUDY)
    assert read_study("masks", tmp_path) == StudySettings.model_validate(STUDY)


def test_a_study_that_is_not_there(tmp_path):
    write(tmp_path, STUDY)
    with pytest.raises(UserError, match=r"NAME: got 'mask', expected a study of .*: masks"):
        read_study("mask", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axis": {}}, r"masks\.yaml\.axis: unknown parameter"),
        ({"axes": {}}, r"masks\.yaml\.axes: .*at least 1"),
        ({"axes": {"masks": {}}}, r"a value for each axis; masks has none"),
        ({"figure": {"y": "dice"}}, r"y to be one of collect: defect_iou, miou"),
        ({"figure": {"y": "miou", "x": "guidance"}}, r"x to be mix or an axis: masks, filter"),
        ({"collect": {}}, r"masks\.yaml\.collect: "),
        ({"columns": "rows"}, r"masks\.yaml\.columns: got 'rows', expected"),
        ({"leave_out": [{"masks": "drawn"}]}, r"values of the axes masks, filter; masks drawn"),
        ({"leave_out": [{"mask": "real"}]}, r"values of the axes masks, filter; mask real"),
        ({"leave_out": [{}]}, r"an empty entry is none"),
    ],
)
def test_faults_are_named(tmp_path, change, message):
    write(tmp_path, STUDY | change)
    with pytest.raises(UserError, match=message):
        read_study("masks", tmp_path)


def test_an_unknown_parameter(study):
    wrong = study.model_copy(update={"common": {"masks.origin": "real"}})
    with pytest.raises(UserError, match=r"masks\.origin: missing; masks has: source"):
        span_cells(wrong, PARAMS)


def test_cells_must_differ_in_letters(study):
    axes = {"masks": {"a b": {}, "a-b": {}}}
    with pytest.raises(UserError, match="a-b"):
        span_cells(study.model_copy(update={"axes": axes}), PARAMS)


@pytest.mark.parametrize("preset", ["demo", "smoke"])
@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_study_fits_the_parameters(path, preset):
    study = read_study(path.stem, path.parent)
    cells = span_cells(study, dict(compose(preset, ROOT / "presets")))
    assert len(cells) >= 2
    for cell in cells:
        section(FilterSettings, "filter", cell.params)
        section(MaskSettings, "masks", cell.params)
        section(ExternalSettings, "external", cell.params)
        read_mixes(cell.params)
