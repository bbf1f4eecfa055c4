"""What the leakage benchmark counts, on groups that are made up here."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import leakage


def test_recall_and_precision_are_of_pairs():
    truth, groups = ["a", "a", "a", "b"], ["g", "g", "h", "h"]
    pairs = leakage._same(["p", "p", "q", "r"])
    row = leakage._row("made up", truth, pairs, groups)
    assert row["pairs found"] == pytest.approx(1 / 3) and row["pairs true"] == 1
    assert row["in groups found"] == pytest.approx(1 / 3)
    assert row["in groups true"] == pytest.approx(1 / 2)
    assert (row["groups"], row["proposed"]) == (2, 2)


def test_tiles_that_are_one_are_merged():
    assert leakage.merge_tiles(["tile042", "tile001", "tile039"]) == [
        "tile039",
        "tile001",
        "tile039",
    ]


@pytest.mark.parametrize("kind", leakage.CHANGES)
def test_every_change_keeps_the_size_and_changes_something(kind):
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8))
    changed = leakage.CHANGES[kind](photo, rng)
    assert changed.size == photo.size
    assert not np.array_equal(np.array(changed), np.array(photo))
