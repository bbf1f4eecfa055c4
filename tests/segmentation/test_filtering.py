"""The filter's settings, and the filter that is off."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.io.errors import UserError
from pipeline.io.params import parse
from pipeline.segmentation.filtering import FilterSettings, keep_all


def read(**changes) -> FilterSettings:
    return parse(FilterSettings, "filter", {"score": "miou"} | changes)


@pytest.mark.parametrize("keep", [0, -3, "some", True, 1.5, 0.0, 1.0])
def test_refuses_what_is_no_number(keep):
    with pytest.raises(UserError, match=r"filter\.keep"):
        read(keep=keep)


@pytest.mark.parametrize("keep", [5, 0.5])
def test_a_number_needs_a_score(keep):
    with pytest.raises(UserError, match=rf"filter\.keep: got {keep}, expected all"):
        read(score="none", keep=keep)


@pytest.mark.parametrize("folds", [1, 0, -2])
def test_one_fold_would_leave_nothing_to_train_on(folds):
    with pytest.raises(UserError, match=r"filter\.folds: got .* greater than or equal to 2"):
        read(folds=folds)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_refuses_a_floor_that_is_no_share(share):
    with pytest.raises(UserError, match=r"filter\.minimal_defect_share"):
        read(minimal_defect_share=share)


@pytest.mark.parametrize(
    ("changes", "off"),
    [
        ({}, False),
        ({"score": "none"}, True),
        ({"score": "none", "minimal_defect_share": 0.1}, False),
    ],
)
def test_is_off_only_without_score_and_floor(changes, off):
    assert read(**changes).is_off == off


def test_off_keeps_all_in_the_order_of_their_ids(tmp_path):
    path = tmp_path / "manifest.parquet"
    pd.DataFrame({"id": ["c", "a", "b"], "mask_id": list("xyz")}).to_parquet(path)
    kept = keep_all(path).to_pandas()
    assert kept["id"].tolist() == ["a", "b", "c"]
    assert kept["rank"].tolist() == [1, 2, 3]
    assert kept["rank"].dtype == np.int64
    assert kept["kept"].all()
    assert kept["kept"].dtype == np.bool_
    figures = ["miou", "defect_iou", "cross_entropy", "defect_share", "fold"]
    assert kept[figures].isna().all(axis=None)


def test_off_names_a_manifest_that_is_none(tmp_path):
    path = tmp_path / "manifest.parquet"
    with pytest.raises(UserError, match=r"manifest\.parquet: not found"):
        keep_all(path)
    path.write_text("no table")
    with pytest.raises(UserError, match=r"manifest\.parquet: cannot be read"):
        keep_all(path)
    pd.DataFrame({"name": ["a"]}).to_parquet(path)
    with pytest.raises(UserError, match=r"manifest\.parquet: cannot be read"):
        keep_all(path)


def test_off_imports_nothing_heavy(tmp_path):
    """A filter that is off must cost under a second; the import of pandas alone takes one."""
    path = tmp_path / "manifest.parquet"
    pd.DataFrame({"id": ["c", "a", "b"]}).to_parquet(path)
    code = (
        "import sys; from pathlib import Path; import stages.filter_unet as stage; "
        f"table = stage.keep_all(Path({str(path)!r})); "
        f"stage.pq.write_table(table, {str(tmp_path / 'scores.parquet')!r}); "
        "print([name for name in ('torch', 'pandas') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
