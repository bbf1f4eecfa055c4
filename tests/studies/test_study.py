"""Reading a study, and its grid."""

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.copy_paste.between_photos import PastingSettings
from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.mix_settings import read_mixes
from pipeline.data.splits import SplitSettings
from pipeline.diffusion.finetuning_settings import FinetuneSettings
from pipeline.diffusion.image_kinds import SdmSettings
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.evaluation.differences import EXTERNAL_FIGURES, FIGURES
from pipeline.io.errors import UserError
from pipeline.io.params import section
from pipeline.io.presets import compose
from pipeline.masks.sources import MaskSettings
from pipeline.segmentation.external_settings import ExternalSettings
from pipeline.segmentation.filtering import FilterSettings
from pipeline.segmentation.training import RepeatedTrainingSettings
from pipeline.studies.study import StudySettings, read_study, span_cells
from tests.studies.conftest import PARAMS, STUDY

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {
    "split": SplitSettings,
    "masks": MaskSettings,
    "image_dm.finetune": FinetuneSettings,
    "sampling": SamplingSettings,
    "filter": FilterSettings,
    "segmenters.training": RepeatedTrainingSettings,
    "segmenters.augmentation": AugmentationSettings,
    "segmenters.pasting": PastingSettings,
    "external": ExternalSettings,
}


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


def test_a_preset_may_change_what_varies(study):
    own = {"common": {"filter.keep": 2}, "axes": {"masks": {"drawn": {"masks.source": "drawn"}}}}
    changed = StudySettings.model_validate(STUDY | {"presets": {"small": own}})
    cells = span_cells(changed.with_preset("small"), PARAMS)
    assert [cell.name for cell in cells] == ["drawn-none", "drawn-best-half"]
    assert cells[0].params["filter"]["keep"] == 2
    assert span_cells(changed.with_preset("large"), PARAMS) == span_cells(study, PARAMS)


def test_a_cell_is_run_on_each_fold(study):
    folds = study.model_copy(update={"leave_out": [{"filter": "best half"}]}).over_folds(2)
    some = span_cells(folds, PARAMS)
    assert [cell.name for cell in some] == [
        "real-none-fold-0", "real-none-fold-1", "augmented-none-fold-0", "augmented-none-fold-1",
    ]  # fmt: skip
    assert [cell.fold for cell in some] == [0, 1] * 2
    assert some[3].changes == {"masks.source": "augmented", "split.folds": 2, "split.fold": 1}
    assert some[0].values == some[1].values


def test_any_study_runs_over_folds():
    study = read_study("masks", ROOT / "studies").over_folds(3)
    cells = span_cells(study, dict(compose("demo", ROOT / "presets")))
    splits = [section(SplitSettings, "split", cell.params) for cell in cells]
    assert [(split.folds, split.fold) for split in splits[:4]] == [(3, 0), (3, 1), (3, 2), (3, 0)]
    with pytest.raises(UserError, match="--folds: got 1, expected 2 or more"):
        study.over_folds(1)


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
        ({"presets": {"smoke": {"axes": {"mask": {}}}}}, r"axes of the study .*; mask is none"),
        ({"folds": 1}, r"masks\.yaml\.folds: got 1"),
        (
            {"collect": {"miou": {"file": "a", "column": "b", "where": {"class": "{kind}"}}}},
            r"axes \(masks, filter\) in braces; kind is none",
        ),
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


STUDIES = sorted((ROOT / "studies").glob("*.yaml"))
PRESETS = ["demo", "smoke", "lemons-isdm", "lemons-all-latent-pims"]


@pytest.fixture(scope="module")
def presets() -> dict[str, dict]:
    # in plain types: to copy those that keep a file's comments takes seconds
    return {name: json.loads(json.dumps(compose(name, ROOT / "presets"))) for name in PRESETS}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_every_study_fits_the_parameters(path, preset, presets):
    study = read_study(path.stem, path.parent).with_preset(preset)
    cells = span_cells(study, presets[preset])
    assert len(cells) >= 2
    for cell in cells:
        for key, settings in SECTIONS.items():
            section(settings, key, cell.params)
        assert cell.params["subset"] in cell.params["subsets"]
        image = cell.params["image_dm"]
        if image["kind"] == "sdm":
            steps = section(SdmSettings, "image_dm.sdm", cell.params).diffusion.timesteps
            assert cell.params["sampling"]["steps"] <= steps
        for name, mix in read_mixes(cell.params).items():
            if isinstance(mix.synthetic, int):
                assert mix.synthetic <= cell.params["sampling"]["count"], name
        for column in study.collect.values():
            classes = cell.params["subsets"][cell.params["subset"]]["classes"]
            if column.sums is not None:
                known = {*FIGURES, *EXTERNAL_FIGURES, *(f"iou_{name}" for name in classes)}
                assert column.sums.format_map(cell.values).removesuffix("_finetuned") in known
                continue
            shown = column.where.get("class", "").format_map(cell.values)
            assert shown in ("all classes", "all but background", *classes)


def test_guidance_is_read_both_ways(presets):
    """Equation 3.12: s. The code: s − 1, and none at all below 1 (REFERENCES 1)."""
    cells = span_cells(read_study("guidance", ROOT / "studies"), presets["demo"])
    drawn = {cell.params["sampling"]["guidance"] for cell in cells}
    scales = (0.5, 1.5, 5.0)
    assert drawn == {*scales, *(scale - 1 if scale > 1 else 0.0 for scale in scales)}
    assert all(float(cell.values["guidance"]) in drawn for cell in cells)


def test_cells_of_a_class_share_the_run_with_all_classes(presets):
    cells = span_cells(read_study("classes", ROOT / "studies"), presets["demo"])
    subsets = {tuple(cell.values.values()): cell.params["subset"] for cell in cells}
    assert subsets["mould", "binary"] == "mould"
    together = [cell.params for cell in cells if cell.values["mode"] == "multi-class"]
    assert len(together) == 3 and together[0] == together[1] == together[2]


def test_the_arms_are_of_one_size(presets):
    (first, second) = span_cells(read_study("arms", ROOT / "studies"), presets["demo"])
    mixes = read_mixes(first.params)
    assert {mix.baseline for mix in mixes.values()} == {None}
    assert first.params["segmenters"]["baseline"] == "real_all-augmented"
    further = [(mix.repeated, mix.pasted, mix.synthetic) for mix in mixes.values() if mix.real]
    assert {("all", 0, 0), (0, "all", 0), (0, 0, "all")} <= set(further)
    units = [cell.params["segmenters"]["training"]["budget"]["unit"] for cell in (first, second)]
    assert units == ["epochs", "steps"]


THESIS = {
    "table": ["7.1", "7.2", "7.3", "7.4"],
    "figure": ["7.3", "7.4", "7.5", "7.8", *(f"7.{number}" for number in range(12, 19))],
}
LIST = r"{kind}s? ((?:7\.\d+(?:, | and |(?= )|$))+)"


@pytest.mark.parametrize(
    ("kind", "number"), [(kind, number) for kind in THESIS for number in THESIS[kind]]
)
def test_a_command_for_each_table_and_figure_of_the_thesis(kind, number):
    studies = []
    for path in STUDIES:
        found = re.findall(LIST.format(kind=kind), read_study(path.stem, path.parent).repeats or "")
        if number in {item for text in found for item in re.findall(r"7\.\d+", text)}:
            studies.append(path.stem)
    assert len(studies) == 1
    lines = (ROOT / "README.md").read_text().splitlines()
    rows = [line for line in lines if f"| `make study NAME={studies[0]}` |" in line]
    assert len(rows) == 1
    text = rows[0].split("|")[1]
    shown = re.findall(LIST.format(kind=kind), text.strip())
    assert number in {item for part in shown for item in re.findall(r"7\.\d+", part)}
