"""Regions of one training photo on another, by pixels."""

import numpy as np
import pandas as pd
import pytest

from pipeline.copy_paste.between_photos import PastingSettings, paste_between, write_pasted
from pipeline.data.pairs import Pairs, load_pairs
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "mould", (9, 200, 30))]
STILL = PastingSettings()
SIZE = 12


def make_pairs(objects: np.ndarray | None = None) -> Pairs:
    """Photo i is of the grey 10·i; regions have 100 + 10·i: none, one, and three of them."""
    images = np.zeros((3, SIZE, SIZE, 3), np.uint8)
    masks = np.zeros((3, SIZE, SIZE), np.uint8)
    masks[1, 1:4, 1:4] = 1
    masks[2, 2:5, 6:9] = masks[2, 6:8, 1:3] = masks[2, 9:11, 9:11] = 1
    for i in range(3):
        images[i] = 10 * i
        images[i][masks[i] > 0] = 100 + 10 * i
    return Pairs(["a", "b", "c"], images, masks, objects)


def test_regions_keep_their_place_and_the_photo_its_own():
    pairs = make_pairs()
    seen = set()
    for index in range(60):
        pasted = paste_between(pairs, STILL, 0, index)
        base = pasted.base
        labelled = pasted.mask > 0
        assert (labelled >= (pairs.masks[base] > 0)).all()  # its own are still there
        givers = [
            giver
            for giver in (1, 2)
            if (pairs.masks[giver][labelled & (pasted.image[..., 0] == 100 + 10 * giver)]).any()
        ]
        others = set(givers) - {base}
        assert len(others) <= 1
        for y, x in zip(*np.nonzero(labelled), strict=True):
            assert any((pasted.image[y, x] == pairs.images[i, y, x]).all() for i in (base, *others))
        assert (pasted.image[~labelled] == 10 * base).all()
        seen.add((base, *others))
    assert seen == {(0, 1), (0, 2), (1,), (1, 2), (2,), (2, 1)}


def test_some_regions_are_pasted_and_at_least_one():
    pairs = make_pairs()
    totals = set()
    for index in range(200):
        pasted = paste_between(pairs, STILL, 0, index)
        if pasted.base == 0 and (pasted.image == 120).any():
            totals.add(int((pasted.mask > 0).sum()))
    assert totals == {9, 4, 4 + 4, 9 + 4, 9 + 4 + 4}  # every subset of areas 9, 4 and 4


def test_regions_stay_on_the_object():
    objects = np.zeros((3, SIZE, SIZE), bool)
    objects[:, :, :7] = True
    pairs = make_pairs(objects)
    for index in range(40):
        pasted = paste_between(pairs, STILL, 0, index)
        beyond = (pasted.mask > 0) & ~objects[0]
        assert (beyond <= (pairs.masks[pasted.base] > 0)).all()


def test_both_photos_are_moved_and_none_is_changed():
    pairs = make_pairs()
    before = pairs.images.copy(), pairs.masks.copy()
    flipped = [paste_between(pairs, PastingSettings(horizontal_flip=1.0), 0, i) for i in range(30)]
    still = [paste_between(pairs, STILL, 0, i) for i in range(30)]
    for one, other in zip(flipped, still, strict=True):
        assert np.array_equal(one.image, other.image[:, ::-1])
        assert np.array_equal(one.mask, other.mask[:, ::-1])
    assert np.array_equal(pairs.images, before[0]) and np.array_equal(pairs.masks, before[1])


def test_written_pairs_do_not_hang_on_their_number(tmp_path):
    pairs = make_pairs()
    frame = pd.DataFrame({"id": pairs.ids, "group": ["x", "y", "z"]})
    settings = PastingSettings(horizontal_flip=0.5, scale=[0.8, 1.25])
    few, many = (
        write_pasted(tmp_path / str(count), pairs, frame, count, settings, CLASSES, 0)
        for count in (3, 8)
    )
    assert many.head(3).equals(few)
    read = load_pairs(tmp_path / "8", many, verify=True)
    assert np.array_equal(read.images[5], paste_between(pairs, settings, 0, 5).image)
    assert np.array_equal(read.masks[5], paste_between(pairs, settings, 0, 5).mask)
    bases = [paste_between(pairs, settings, 0, index).base for index in range(8)]
    assert many["group"].tolist() == ["xyz"[base] for base in bases]


def test_photos_without_regions_are_refused():
    pairs = make_pairs()
    pairs.masks[:] = 0
    with pytest.raises(UserError, match="pasted: none of the mix's 3 real pairs shows a region"):
        paste_between(pairs, STILL, 0, 0)
