"""Near-identical photos among unrelated ones, and the groups made of them."""

import numpy as np
import pandas as pd
import pytest

from pipeline.audit.leakage import find_leakage, propose_groups
from pipeline.data.groups import groups_from_csv
from tests.audit.scenes import again, manifest, scenes

SPLITS = ["train"] * 20 + ["val"] * 6 + ["test"] * 8


@pytest.fixture(scope="module")
def photos():
    """Photo 30 (test) shows what photo 2 (train) does, 31 what 30 does, 21 (val) what 20 does."""
    found = scenes(34)
    found[30] = again(found[2])
    found[31] = again(found[30])
    found[21] = again(found[20])
    return found


def test_planted_pairs_are_found_and_no_others(photos):
    found = find_leakage(photos, manifest(SPLITS), 0.05)
    pairs = {tuple(pair) for pair in found.pairs[["first", "second"]].to_numpy()}
    assert {("02", "30"), ("30", "31"), ("20", "21")} <= pairs <= {
        ("02", "30"), ("30", "31"), ("20", "21"), ("02", "31")
    }  # fmt: skip
    assert found.total_pairs == 34 * 33 // 2
    row = found.pairs.set_index(["first", "second"]).loc[("02", "30")]
    assert row["flip"] == "left-right" and row["across_splits"] and not row["same_group"]
    assert row["expected_by_chance"] <= 0.05 and row["correlation"] > 0.7
    assert not found.pairs.set_index(["first", "second"]).loc[("20", "21"), "across_splits"]
    assert found.pairs["score"].is_monotonic_decreasing


def test_unrelated_photos_are_left_alone():
    for seed in range(3):
        assert find_leakage(scenes(30, seed + 10), manifest(["train"] * 30), 0.05).pairs.empty


def test_windows_of_one_photo_are_no_pair(photos):
    frame = manifest(SPLITS)
    frame.loc[30, "source"] = frame.loc[2, "source"]
    found = find_leakage(photos, frame, 0.05)
    assert "02" not in set(found.pairs["first"]) or "30" not in set(
        found.pairs.loc[found.pairs["first"] == "02", "second"]
    )
    assert len(found.groups) == 33


def test_few_photos_are_not_judged(photos):
    found = find_leakage(photos[:5], manifest(SPLITS[:5]), 0.05)
    assert found.too_few and found.pairs.empty and len(found.groups) == 5


def test_the_proposal_is_read_as_groups(photos, tmp_path):
    frame = manifest(SPLITS)
    proposal = find_leakage(photos, frame, 0.05).groups
    proposal.to_csv(tmp_path / "groups.csv", index=False)
    of_photos, problems = groups_from_csv(frame["source"].tolist(), tmp_path / "groups.csv")
    groups = [of_photos[source] for source in frame["source"]]
    assert problems == []
    assert groups[2] == groups[30] == groups[31] and groups[20] == groups[21]
    assert len(set(groups)) == 34 - 3


def pair_table(*pairs):
    named = [(f"photos/{a:02d}.jpg", f"photos/{b:02d}.jpg") for a, b in pairs]
    return pd.DataFrame(named, columns=["first_source", "second_source"])


def test_groups_that_are_given_stay_whole_and_keep_the_first_name():
    frame = manifest(["train"] * 6, ["a", "a", "b", "b", "c", "d"])
    proposal = propose_groups(frame, pair_table((1, 2), (4, 4)))
    assert proposal["group"].tolist() == ["a", "a", "a", "a", "c", "d"]
    assert proposal["image"].tolist() == frame["source"].tolist()


def test_chains_of_pairs_make_one_group():
    proposal = propose_groups(manifest(["train"] * 5), pair_table((0, 3), (3, 4)))
    names = proposal["group"].to_numpy()
    assert np.array_equal(names[[0, 3, 4]], [names[0]] * 3) and proposal["group"].nunique() == 3
