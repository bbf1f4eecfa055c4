import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline.io.errors import UserError
from pipeline.io.params import read_params
from pipeline.reporting.runs import SEGMENTERS, baselines, planned_runs, read_counts, read_curves


def test_baselines_are_the_entrys_own_or_the_common_one():
    mixes = {"real": {}, "few": {}, "few-mixed": {"baseline": "few"}, "mixed": {"baseline": None}}
    params = {"segmenters": {"baseline": "real", "mixes": mixes}}
    assert baselines(params) == {
        "real": "real",
        "few": "real",
        "few-mixed": "few",
        "mixed": "real",
    }


def test_unknown_baseline_is_named():
    params = {"segmenters": {"baseline": "real", "mixes": {"real": {}, "x": {"baseline": "y"}}}}
    with pytest.raises(UserError, match=r"segmenters\.mixes\.x\.baseline: got 'y', .*real, x"):
        baselines(params)


def test_runs_come_from_the_parameters_and_not_from_the_disk(project):
    params = read_params()
    del params["segmenters"]["mixes"]["synthetic_all"]  # its folders are still there
    assert ("fpn", "synthetic_all") not in planned_runs(params)
    assert set(read_counts(params)["mix"]) == set(params["segmenters"]["mixes"])
    assert set(read_curves(params)["mix"]) == set(params["segmenters"]["mixes"])


def test_missing_run_says_how_to_make_it(project):
    shutil.rmtree(SEGMENTERS / "fpn-real_16")
    with pytest.raises(UserError, match="dvc repro train-segmenters@fpn-real_16"):
        read_counts(read_params())


def test_counts_without_a_column_are_refused(project):
    path = Path(SEGMENTERS) / "fpn-real_16/counts.parquet"
    pd.read_parquet(path).drop(columns=["tn"]).to_parquet(path)
    with pytest.raises(UserError, match=r"fpn-real_16/counts\.parquet: lacks tn"):
        read_counts(read_params())
