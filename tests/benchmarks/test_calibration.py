"""The calibration's trials on simulated trainings, whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.calibration import folds, trainings, trials
from benchmarks.calibration.drawing import draw
from benchmarks.calibration.methods import METHODS
from benchmarks.calibration.pages import family_table, single_table
from benchmarks.calibration.trainings import hold_out, train_arm
from pipeline.evaluation.differences import FIGURES, HEADLINE, group_ratios
from pipeline.io.manifests import read_manifest
from pipeline.statistics.ratios import Ratios
from tests.autoencoding.squares import write_prepared
from tests.evaluation.test_differences import counts_of

OLD, _, _, CHOSEN = METHODS
*_, FOLD_BY_FOLD = folds.METHODS
ARMS = (("few", 0.0), ("more", 0.1))
GROUPS = 40


def simulate(rng: np.random.Generator, mix: str, gain: float, seeds: int) -> Ratios:
    """Trainings of IoU 0.6 + gain, with spread of seeds, of groups, and of both together."""
    groups = np.random.default_rng(7)  # the same in all arms
    pixels = np.exp(groups.normal(6, 0.5, GROUPS)).astype(int)
    level = 0.6 + groups.normal(0, 0.1, GROUPS) + gain * groups.uniform(0.5, 1.5, GROUPS)
    iou = level + rng.normal(0, 0.02, (seeds, 1)) + rng.normal(0, 0.03, (seeds, GROUPS))
    rows = []
    for seed, of_seed in enumerate(np.clip(iou, 0, 1)):
        for group, (share, size) in enumerate(zip(of_seed, pixels, strict=True)):
            name, found = f"g{group:02d}", int(share * size)
            rows.append((mix, seed, name, name, found, 0, size - found))
    return group_ratios(counts_of(rows), FIGURES[HEADLINE], [f"g{n:02d}" for n in range(GROUPS)])


@pytest.fixture(scope="module")
def arms() -> dict[str, Ratios]:
    rng = np.random.default_rng(0)
    return {
        "few": simulate(rng, "few", 0.0, 96),
        "more": simulate(rng, "more", 0.1, 48),
    }


@pytest.fixture(scope="module")
def single(arms):
    return trials.single_trials(arms, [trials.Size(3, 8), trials.Size(5, 20)], 200, seed=0)


def chosen(table, arm, method=CHOSEN):
    return table[(table["arm"] == arm) & (table["method"] == method)]


def test_identical_arms_are_told_apart_no_oftener_than_in_five_per_cent(single):
    rows = chosen(single, "few")
    assert (rows["told_low"] <= 0.05).all()
    assert rows["difference"].eq(0).all() and (rows["told"] + rows["held"] == 1).all()


def test_the_former_interval_told_them_apart_far_too_often(single):
    assert (chosen(single, "few", OLD)["told_low"] > 0.05).all()


def test_a_mix_that_helps_is_found_and_its_gain_held(single):
    rows = chosen(single, "more")
    assert rows["difference"].to_numpy() == pytest.approx(0.1, abs=0.015)
    assert rows["told"].iloc[0] > 0.6 and rows["told"].iloc[1] > 0.98
    assert (rows["held_high"] > 0.95).all()


def test_of_four_comparisons_the_correction_keeps_all_together(arms):
    table = trials.family_trials(arms, [trials.Size(5, 20)], 200, seed=0)
    by_name = table.set_index("correction")
    assert by_name.loc["none", "told"] > by_name.loc["Šidák", "told"]
    assert by_name.loc["Šidák", "told"] <= 0.05
    assert by_name.loc["Šidák", "found"] > 0.9
    assert "Šidák" in family_table(table)


def test_over_folds_identical_arms_are_rarely_told_apart_and_a_better_one_is_found():
    rng = np.random.default_rng(1)
    twins, better = ([simulate(rng, mix, gain, 12) for _ in range(5)] for mix, gain in ARMS)
    table = folds.fold_trials({"few": twins, "more": better}, [trials.Size(3, 8)], 100, seed=0)
    *_, told = chosen(table, "few", FOLD_BY_FOLD)["told_low"]
    assert told <= 0.05
    row = chosen(table, "more", FOLD_BY_FOLD).iloc[0]
    assert row["difference"] == pytest.approx(0.1, abs=0.015)
    assert row["told"] > 0.95 and row["held_high"] > 0.95


def test_folds_judge_every_photo_once_and_part_no_group(tmp_path):
    write_prepared(tmp_path / "prepared", size=32)
    splits = trainings.cut_folds(tmp_path / "prepared", 2, seed=0)
    whole = read_manifest(tmp_path / "prepared")
    assert sorted(pd.concat([each.judged for each in splits])["id"]) == sorted(whole["id"])
    for each in splits:
        assert len(each.train) + len(each.judged) == len(whole)
        assert not set(each.train["group"]) & set(each.judged["group"])


def test_shares_have_clopper_pearson_intervals():
    """No hit in n trials: at most 1 − 0.025^(1/n)."""
    row = trials.share("told", np.zeros(200, dtype=bool))
    assert row == {"told": 0, "told_low": 0, "told_high": pytest.approx(1 - 0.025 ** (1 / 200))}


def test_tables_and_figure(single):
    text = single_table(single)
    assert len(text.splitlines()) == 2 + 2 * len(METHODS)
    assert draw(single).startswith(b"\x89PNG")


def test_an_arm_s_trainings_differ_in_their_seed_only(tmp_path):
    write_prepared(tmp_path / "prepared", size=32)
    network = {"encoder": "tu-tf_efficientnet_lite0", "encoder_weights": None, "input_scale": 1}
    training = {"batch_size": 2, "budget": {"unit": "epochs", "amount": 9}, "seeds": 7}
    params = {"seed": 0, "segmenters": {"network": network, "training": training}}
    counts = train_arm(hold_out(tmp_path / "prepared"), params, 4, 2, 1, tmp_path / "states")
    # two validation photos and a test photo are judged, each pixel once a class
    assert counts.groupby(["mix", "seed"])["id"].nunique().to_dict() == {
        ("real_4", 0): 3,
        ("real_4", 1): 3,
    }
    assert (counts[["tp", "fp", "fn", "tn"]].sum(axis=1) == 32 * 32).all()
    first, second = (part["tp"].tolist() for _, part in counts.groupby("seed"))
    assert first != second
