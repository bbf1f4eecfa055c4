import numpy as np
import pytest

from pipeline.masks.plausibility import CHECKS, RealMasks, faults, learn, solidity

Y, X = np.mgrid[:40, :40]


def disc(radius, y=20, x=20):
    return (Y - y) ** 2 + (X - x) ** 2 <= radius**2


def pair(radius=12, defect=None, label=1):
    """A round object and a defect, 3×3 in its middle unless told otherwise."""
    region = disc(1.5) if defect is None else defect
    return region.astype(np.uint8) * label, disc(radius)


def real(*pairs):
    masks, objects = zip(*(pairs or (pair(11), pair(13, disc(0)))), strict=True)
    return learn(np.stack(masks), np.stack(objects))


def test_real_masks_are_learnt():
    stray = disc(11)
    stray[0, 0] = True  # of disc(11) and this pixel
    known = learn(np.stack([pair(11)[0], pair(13)[0]]), np.stack([stray, disc(13)]))
    assert known.smallest_object == disc(11).sum() + 1
    assert known.largest_object == disc(13).sum()
    assert known.stray_object == pytest.approx(1 / (disc(11).sum() + 1))
    assert known.stray_defects == 0
    assert known.fewest_defect_pixels == known.most_defect_pixels == 9


def test_a_real_mask_has_no_fault():
    for radius in (10, 12, 14):
        assert faults(*pair(radius), real()) == []


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (pair(defect=disc(0, 2, 2)), ["outside_object"]),
        (pair(defect=disc(2, 3, 3)), ["object_in_pieces", "outside_object"]),
        (pair(defect=np.zeros((40, 40), dtype=bool)), ["empty"]),
        (pair(5), ["object_size"]),
        (pair(18), ["object_size"]),
        ((np.zeros((40, 40), np.uint8), np.zeros((40, 40), bool)), ["no_object", "empty"]),
    ],
)
def test_each_fault_is_named(drawn, expected):
    assert faults(*drawn, real()) == expected


def test_a_defect_that_sticks_out_of_the_silhouette_belongs_to_it():
    assert faults(*pair(12, defect=disc(2, 20, 32)), real()) == []


def test_a_defect_touching_the_object_at_a_corner_belongs_to_it():
    mask, silhouette = np.zeros((2, 40, 40), bool)
    silhouette[10:30, 10:30] = True
    mask = mask.astype(np.uint8)
    mask[30, 30] = 1
    assert faults(mask, silhouette, real()) == []


def test_pieces_count_where_no_real_silhouette_has_as_many():
    mask, silhouette = pair(12)
    silhouette = silhouette | disc(3, 4, 4)  # without a defect on it
    assert faults(mask, silhouette, real()) == ["object_in_pieces"]
    assert faults(mask, silhouette, real(pair(12), (mask, silhouette))) == []


def test_defects_beside_the_object_are_no_fault_where_the_real_ones_are_there():
    beside = pair(defect=disc(0, 2, 2))
    assert faults(*beside, real(pair(), beside)) == []


def test_empty_masks_are_no_fault_where_the_training_set_has_one():
    none = pair(defect=np.zeros((40, 40), dtype=bool))
    assert faults(*none, real(pair(), none)) == []


def test_solidity_by_hand():
    square = np.zeros((40, 40), dtype=bool)
    square[10:20, 10:20] = True
    assert solidity(square) == 1
    square[10:15, 10:15] = False  # an L; its hull holds the pixels on or below the diagonal
    assert solidity(square) == 75 / (75 + 4 * 5 / 2)
    assert [solidity(disc(radius)) for radius in (0, 1, 2, 7, 19)] == [1] * 5
    assert solidity(np.zeros((4, 4), dtype=bool)) == 1
    assert solidity(np.eye(6, dtype=bool)) == 1


def test_an_object_less_convex_than_any_real_one_has_an_odd_shape():
    bitten = disc(12) & ~disc(9, 20, 33)
    drawn = pair()[0], bitten
    assert faults(*drawn, real()) == ["object_shape"]
    assert faults(*drawn, real(pair(11), drawn)) == []


def test_defects_smaller_or_larger_than_all_real_ones_have_an_odd_size():
    known = real(pair(), pair(defect=disc(3)))  # 9 and 29 pixels
    rows = [np.zeros((40, 40), dtype=bool) for _ in range(4)]
    for region, pixels in zip(rows, (5, 6, 43, 44), strict=True):
        y, x = np.unravel_index(np.arange(pixels), (10, 10))
        region[15 + y, 15 + x] = True
    found = [faults(*pair(defect=region), known) for region in rows]
    assert found == [["defect_size"], [], [], ["defect_size"]]


def test_without_silhouettes_only_emptiness_shows():
    masks = np.stack([pair()[0], pair(defect=disc(3, 5, 5), label=2)[0]])
    known = learn(masks, None)
    assert known == RealMasks(fewest_defect_pixels=9, most_defect_pixels=disc(3, 5, 5).sum())
    assert faults(masks[0], None, known) == []
    assert faults(np.zeros((40, 40), np.uint8), None, known) == ["empty"]


def test_silhouettes_on_one_side_only_are_refused():
    mask, silhouette = pair()
    with pytest.raises(ValueError, match="silhouettes"):
        faults(mask, silhouette, learn(mask[None], None))
    with pytest.raises(ValueError, match="silhouettes"):
        faults(mask, None, real())


def test_faults_come_in_the_order_of_the_table():
    assert next(iter(CHECKS)) == "no_object"
    got = faults(*pair(5, defect=disc(1, 3, 3)), real())
    assert got == [name for name in CHECKS if name in got]
    assert "object_size" in got
