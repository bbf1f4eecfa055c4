"""Encoding of masks: whatever comes back from pycocotools is what went in, to the pixel."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy import ndimage

from pipeline.data.coco_regions import border_polygon, encode_region, run_lengths


def decode(region: dict, shape: tuple[int, int]) -> np.ndarray:
    encoded = coco_mask.frPyObjects(region["segmentation"], *shape)
    merged = encoded if isinstance(encoded, dict) else coco_mask.merge(encoded)
    return coco_mask.decode(merged).astype(bool)


def blob(seed: int, sigma: float, threshold: float) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(70, 50)), sigma)
    return noise > threshold * noise.std()


def test_a_rectangle_by_hand():
    mask = np.zeros((6, 8), dtype=bool)
    mask[2:4, 3:6] = True
    region = encode_region(mask)
    assert region["segmentation"] == [[3, 2, 6, 2, 6, 4, 3, 4]]
    assert (region["area"], region["bbox"], region["iscrowd"]) == (6.0, [3.0, 2.0, 3.0, 2.0], 0)


def test_run_lengths_by_hand():
    mask = np.array([[1, 0], [0, 1], [0, 1]], dtype=bool)
    assert run_lengths(mask) == {"counts": [0, 1, 3, 2], "size": [3, 2]}


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("seed", range(6))
def test_round_trip_is_exact(seed, sigma):
    """Smooth and ragged regions, in one piece and in several, with and without holes."""
    full = blob(seed, sigma, 0.7)
    pieces, number = ndimage.label(full)
    masks = [full] + [pieces == index for index in range(1, min(number, 12) + 1)]
    kinds = set()
    for mask in masks:
        region = encode_region(mask)
        kinds.add(region["iscrowd"])
        assert np.array_equal(decode(region, mask.shape), mask)
        assert region["area"] == mask.sum()
    assert 0 in kinds


def test_a_region_that_touches_itself_across_a_corner_keeps_its_pixels():
    mask = np.array(
        [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 1, 1], [1, 1, 0, 0]],
        dtype=bool,
    )
    region = encode_region(mask)
    assert region["iscrowd"] == 0
    assert np.array_equal(decode(region, mask.shape), mask)
    corners = np.array(border_polygon(mask)).reshape(-1, 2)
    assert len(corners) > len(np.unique(corners, axis=0))


@pytest.mark.parametrize(
    "rows",
    [["101", "101"], ["10", "01"], ["111", "101", "111"]],
    ids=["two pieces", "corner only", "hole"],
)
def test_regions_that_no_single_polygon_can_hold_become_run_lengths(rows):
    mask = np.array([[letter == "1" for letter in row] for row in rows])
    region = encode_region(mask)
    assert region["iscrowd"] == 1
    assert np.array_equal(decode(region, mask.shape), mask)
