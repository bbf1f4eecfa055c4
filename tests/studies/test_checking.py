"""What is wrong with a study's cells is told once, with its place and the cells that have it."""

from pathlib import Path

import pytest

from pipeline.io.errors import UserError
from pipeline.studies.checking import check_cells, find_place, told_of
from pipeline.studies.study import span_cells
from tests.studies.conftest import PARAMS


def complain(params):
    """Of augmented masks, of kept halves, and of every cell."""
    faults = ["seed: got 0, expected more"]
    if params["masks"]["source"] == "augmented":
        faults.append("masks.source: got augmented, expected real")
    if params["filter"]["keep"] == 0.5:
        faults.append("filter.keep: got 0.5, expected all")
    raise UserError("\n       ".join(faults))


def test_each_fault_has_its_place_and_its_cells(study, cells):
    with pytest.raises(UserError) as caught:
        check_cells(study, cells, complain)
    assert [line.strip() for line in str(caught.value).splitlines()] == [
        "set before the study: seed: got 0, expected more "
        "(cells real-none, real-best-half, augmented-none, augmented-best-half)",
        "axes.filter.best half: filter.keep: got 0.5, expected all "
        "(cells real-best-half, augmented-best-half)",
        "axes.masks.augmented: masks.source: got augmented, expected real "
        "(cells augmented-none, augmented-best-half)",
    ]


def test_of_many_cells_the_first_are_named(study):
    folds = span_cells(study.over_folds(2), PARAMS)
    with pytest.raises(UserError, match=r"real-best-half-fold-1 and 4 more\)"):
        check_cells(study, folds, complain)


def test_right_cells_pass(study, cells):
    seen = []
    check_cells(study, cells, seen.append)
    assert seen == [cell.params for cell in cells]


@pytest.mark.parametrize(
    ("parameter", "place"),
    [
        ("filter.keep", "axes.filter.best half"),  # over what is common to all cells
        ("masks.source", "axes.masks.augmented"),
        ("segmenters.mixes.both.real", "set before the study"),
    ],
)
def test_the_last_place_that_sets_a_parameter(study, cells, parameter, place):
    assert find_place(study, cells[3], parameter) == place


def test_a_parameter_of_a_map_that_the_study_sets_whole(study, cells):
    mixes = {"segmenters.mixes": {"real_all": {"real": "all", "synthetic": -1}}}
    changed = study.model_copy(update={"common": mixes})
    assert find_place(changed, cells[0], "segmenters.mixes.real_all.synthetic") == "common"
    assert find_place(changed, cells[0], "segmenters.mixes_of_others") == "set before the study"


def test_the_file_is_named():
    with (
        pytest.raises(UserError, match=r"^studies/x\.yaml: wrong$"),
        told_of(Path("studies/x.yaml")),
    ):
        raise UserError("wrong")
