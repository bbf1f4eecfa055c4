import numpy as np
import pytest
from scipy import stats

from pipeline.evaluation.mask_statistics import compare, kolmogorov_smirnov, measure

NAMES = ["background", "rust", "scratch"]


def blank():
    return np.zeros((10, 20), dtype=np.uint8)


def with_boxes(*boxes):
    """Boxes (class, top, left, height, width) on a mask of 10 × 20."""
    mask = blank()
    for label, top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = label
    return mask


def row(table, name, measure_name):
    return table[(table["class"] == name) & (table["measure"] == measure_name)].iloc[0]


def test_masks_and_regions_are_measured_by_hand():
    mask = with_boxes((1, 0, 0, 2, 3), (1, 6, 10, 1, 4), (2, 9, 19, 1, 1))
    figures = measure([(mask, None), (blank(), None)], 3)

    assert figures.masks.to_dict("list") == {
        "mask": [0, 0, 1, 1],
        "class_index": [1, 2, 1, 2],
        "pixels": [10 / 200, 1 / 200, 0, 0],
        "regions": [2, 1, 0, 0],
    }
    assert figures.regions["pixels"].tolist() == [6, 4, 1]
    assert figures.regions["y"].tolist() == pytest.approx([1 / 10, 6.5 / 10, 9.5 / 10])
    assert figures.regions["x"].tolist() == pytest.approx([1.5 / 20, 12 / 20, 19.5 / 20])
    assert figures.regions["distance"].isna().all()
    assert len(figures.objects) == 0


def test_corners_connect():
    figures = measure([(with_boxes((1, 0, 0, 1, 1), (1, 1, 1, 1, 1)), None)], 2)
    assert figures.regions["pixels"].tolist() == [2]


def test_places_are_shares_of_the_masks():
    figures = measure([(with_boxes((1, 0, 0, 2, 2)), None), (with_boxes((1, 1, 1, 1, 1)), None)], 3)
    assert figures.places.shape == (3, 10, 20)
    assert figures.places[1, :3, :3].tolist() == [[0.5, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]
    assert figures.places[2].max() == 0
    assert np.allclose(figures.places.sum(axis=0), 1)


def test_distance_is_in_radii_of_the_object():
    y, x = np.mgrid[:101, :101]
    silhouette = (y - 50) ** 2 + (x - 40) ** 2 <= 30**2
    mask = np.zeros((101, 101), dtype=np.uint8)
    mask[50, 40] = mask[50, 60] = 1
    figures = measure([(mask, silhouette)], 2)
    assert figures.regions["distance"].tolist() == pytest.approx([0, 20 / 30], abs=0.005)
    assert figures.objects.tolist() == [silhouette.mean()]


def test_equal_sets_do_not_differ():
    masks = [(with_boxes((1, i, i, 1 + i, 3)), None) for i in range(4)]
    table = compare(measure(masks, 3), measure(masks[::-1], 3), NAMES)
    assert (table["real"] - table["synthetic"]).abs().max() == pytest.approx(0)
    assert table["ks"].max() == 0
    assert table["wasserstein"].max() == 0


def test_differences_by_hand():
    real = measure([(with_boxes((1, 0, 0, 1, 4)), None), (with_boxes((1, 0, 0, 1, 8)), None)], 3)
    drawn = measure([(with_boxes((1, 0, 0, 1, 6)), None), (blank(), None)], 3)
    table = compare(real, drawn, NAMES)

    shown = row(table, "rust", "share of masks that show it")
    assert (shown["real"], shown["synthetic"]) == (1, 0.5)
    assert np.isnan(shown["ks"])
    share = row(table, "rust", "share of pixels")
    assert (share["real"], share["synthetic"]) == pytest.approx((6 / 200, 3 / 200))
    sizes = row(table, "rust", "pixels a region")
    assert (sizes["real"], sizes["synthetic"]) == (6, 6)
    assert sizes["ks"] == 0.5  # below 6 lies one of two, and none of one
    assert sizes["wasserstein"] == 2  # half of the mass by 2 from either side
    counts = row(table, "rust", "regions a mask")
    assert (counts["ks"], counts["wasserstein"]) == (0.5, 0.5)


def test_kolmogorov_smirnov_equals_scipy_s():
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.integers(0, 12, 30), rng.integers(2, 15, 17)  # with ties
        expected = stats.ks_2samp(first, second).statistic
        assert kolmogorov_smirnov(first, second) == pytest.approx(expected)


def test_a_class_that_is_missing_on_one_side_is_shown():
    real = measure([(with_boxes((1, 0, 0, 1, 4)), None)], 3)
    drawn = measure([(with_boxes((2, 0, 0, 1, 4)), None)], 3)
    sizes = row(compare(real, drawn, NAMES), "rust", "pixels a region")
    assert sizes["real"] == 4
    assert np.isnan(sizes["synthetic"])
    assert np.isnan(sizes["ks"])


def test_objects_are_compared_where_both_sides_have_them():
    small, large = np.zeros((2, 10, 20), dtype=bool)
    small[:5], large[:] = True, True
    real, drawn = measure([(blank(), small)], 3), measure([(blank(), large)], 3)
    sizes = row(compare(real, drawn, NAMES), "object", "share of pixels")
    assert (sizes["real"], sizes["synthetic"], sizes["ks"]) == (0.5, 1, 1)
    assert "object" not in set(compare(real, measure([(blank(), None)], 3), NAMES)["class"])


def test_no_mask_is_refused():
    with pytest.raises(ValueError, match="no mask"):
        measure([], 2)
