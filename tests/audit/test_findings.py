"""What the audit tells and shows of pairs that are made up here."""

from dataclasses import replace

import pandas as pd
import pytest

from pipeline.audit.chance import FEWEST_PHOTOS
from pipeline.audit.findings import draw_pairs, summarise, tell, worth_seeing
from pipeline.audit.leakage import Leakage, propose_groups
from pipeline.audit.names import NameHint
from pipeline.io.images import read_image
from tests.audit.scenes import manifest, scenes

SPLITS = ["train"] * 4 + ["val", "test", "test"]


def leakage(frame, *found):
    """Pairs of rows, the most alike first."""
    rows = []
    for a, b in found:
        first, second = frame.iloc[a], frame.iloc[b]
        row = {"first": first["id"], "second": second["id"], "correlation": 0.9, "flip": "none"}
        for key in ("split", "source", "group"):
            row |= {f"first_{key}": first[key], f"second_{key}": second[key]}
        row |= {"across_splits": first["split"] != second["split"]}
        rows.append(row | {"same_group": first["group"] == second["group"]})
    pairs = pd.DataFrame(rows)
    return Leakage(pairs, propose_groups(frame, pairs), 21)


@pytest.fixture
def found():
    frame = manifest(SPLITS)
    return frame, leakage(frame, (0, 1), (0, 5), (1, 5), (2, 4))


def test_sides_and_leaked_test_photos_are_counted(found):
    frame, seen = found
    figures = summarise(seen, frame, None)
    assert figures["pairs_across_splits"] == 3 and figures["pairs_across_groups"] == 4
    assert figures["sides"] == {"train and test": 2, "train and val": 1}
    assert (figures["test_photos_leaked"], figures["test_photos"]) == (1, 2)
    assert (figures["groups"], figures["groups_proposed"]) == (7, 4)  # 0 1 5, 2 4, 3, 6
    assert "1 of 2 test photos" in " ".join(tell(seen, figures))


def test_each_group_is_shown_before_a_second_pair_of_one(found):
    shown = worth_seeing(found[1], 4)
    pairs = shown[["first", "second"]].to_numpy().tolist()
    assert pairs == [["00", "05"], ["02", "04"], ["01", "05"], ["00", "01"]]
    assert len(worth_seeing(found[1], 2)) == 2


def test_the_picture_is_drawn_with_and_without_pairs(found, tmp_path):
    frame, seen = found
    photos = scenes(len(frame))
    draw_pairs(photos, frame, seen.pairs, tmp_path / "pairs.png")
    draw_pairs(photos, frame, seen.pairs.iloc[:0], tmp_path / "none.png")
    assert read_image(tmp_path / "pairs.png").std() > 3 * read_image(tmp_path / "none.png").std()


def test_too_few_photos_are_said_not_to_be_compared(found):
    frame, seen = found
    few = replace(seen, pairs=seen.pairs.iloc[:0], too_few=True)
    assert tell(few, summarise(few, frame, None)) == [
        f"7 photos: fewer than {FEWEST_PHOTOS} are not compared"
    ]


def test_pairs_on_one_side_are_said_to_be_there_by_luck():
    frame = manifest(SPLITS)
    seen = leakage(frame, (0, 1))
    told = tell(seen, summarise(seen, frame, None))
    assert told[0].endswith("21 pairs compared: 1 near-identical pairs across groups")
    assert told[1].startswith("WARNING: this split keeps the 1 near-identical pairs on one side")
    assert told[2].startswith("the proposal has 6 groups: with so few")


def test_names_that_tell_the_groups_are_told(found):
    frame, seen = found
    hint = NameHint(pattern=r"(\d+)_", groups=5, agreement=0.75, chance=0.2)
    [told] = [line for line in tell(seen, summarise(seen, frame, hint)) if "file names" in line]
    assert r"split.group_pattern: (\d+)_ gives 5 groups, and 75% of the photos" in told
