"""How drawn masks compare with real ones: shares of classes, regions, objects and their places.

A region is an 8-connected component of one class. Two sets differ in a measure by their means, by
the Kolmogorov–Smirnov statistic (the largest gap between the two cumulative distributions, 0 to 1)
and by the Wasserstein distance (how far, in the measure's own unit, one distribution has to be
moved to become the other).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage, stats

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)
MASK_COLUMNS = ["mask", "class_index", "pixels", "regions"]
REGION_COLUMNS = ["mask", "class_index", "pixels", "y", "x", "distance"]


@dataclass(frozen=True)
class MaskFigures:
    """What was measured on a set of masks.

    masks: a row per mask and class but the background: mask (its number), class_index, pixels
        (share of the mask's), regions.
    regions: a row per region: mask, class_index, pixels, y and x of its centroid (shares of height
        and width), distance from the object's centroid in radii of a disc of the object's area
        (NaN without silhouettes).
    objects: the objects' areas as shares of the masks' pixels; empty without silhouettes.
    places: float C×H×W, in which share of the masks a pixel shows the class.
    """

    masks: pd.DataFrame
    regions: pd.DataFrame
    objects: np.ndarray
    places: np.ndarray


def measure(
    pairs: Iterable[tuple[np.ndarray, np.ndarray | None]], total_classes: int
) -> MaskFigures:
    """Measure a set of masks, one at a time.

    Args:
        pairs: at least one mask (uint8 H×W of class indices) with its silhouette (bool H×W) or
            None; all of one size, with silhouettes for all or none.
        total_classes: C, background included.
    """
    masks: list[tuple] = []
    regions: list[tuple] = []
    objects: list[float] = []
    counts: np.ndarray | int = 0
    classes = np.arange(total_classes)[:, None, None]
    total = 0
    for number, (mask, silhouette) in enumerate(pairs):
        total = number + 1
        counts = counts + (mask == classes)  # C×H×W
        if silhouette is not None:
            objects.append(float(silhouette.mean()))
        for index in range(1, total_classes):
            region = mask == index
            found = list(_regions(region, silhouette))
            masks.append((number, index, float(region.mean()), len(found)))
            regions.extend((number, index, *row) for row in found)
    if total == 0:
        raise ValueError("pairs: got no mask, expected at least one")
    return MaskFigures(
        masks=pd.DataFrame(masks, columns=MASK_COLUMNS),
        regions=pd.DataFrame(regions, columns=REGION_COLUMNS),
        objects=np.array(objects),
        places=counts / total,
    )


def _regions(region: np.ndarray, silhouette: np.ndarray | None) -> Iterator[tuple]:
    """Of each connected part of a bool H×W: pixels, y, x and distance, as in `REGION_COLUMNS`."""
    parts, total_parts = ndimage.label(region, EIGHT_NEIGHBOURS)
    if total_parts == 0:
        return
    sizes = np.bincount(parts.ravel())[1:]
    centres = np.array(ndimage.center_of_mass(region, parts, range(1, total_parts + 1)))  # R×2
    distances = np.full(total_parts, np.nan)
    if silhouette is not None and silhouette.any():
        centre, radius = ndimage.center_of_mass(silhouette), np.sqrt(silhouette.sum() / np.pi)
        distances = np.linalg.norm(centres - centre, axis=1) / radius
    shares = (centres + 0.5) / region.shape  # a pixel's centre lies half a pixel in
    yield from zip(sizes, shares[:, 0], shares[:, 1], distances, strict=True)


def compare(real: MaskFigures, synthetic: MaskFigures, names: list[str]) -> pd.DataFrame:
    """Real against synthetic masks, a row per class and measure.

    Args:
        real: of the real masks.
        synthetic: of the synthetic masks, measured at the same size.
        names: of the classes, background first.

    Returns:
        Columns class (`object` for the silhouettes), measure, real, synthetic (means), ks and
        wasserstein (NaN for plain shares, and where a side has nothing to measure).
    """
    rows = []
    for index, name in enumerate(names[1:], start=1):
        sides = [_measures(figures, index) for figures in (real, synthetic)]
        for measure_name, (first, second) in _paired(*sides):
            rows.append((name, measure_name, *_differences(first, second, measure_name)))
    if len(real.objects) and len(synthetic.objects):
        differences = _differences(real.objects, synthetic.objects, "share of pixels")
        rows.append(("object", "share of pixels", *differences))
    columns = ["class", "measure", "real", "synthetic", "ks", "wasserstein"]
    return pd.DataFrame(rows, columns=columns)


SHOWN = "share of masks that show it"


def _measures(figures: MaskFigures, index: int) -> dict[str, np.ndarray]:
    """Name of each measure of a class → its values."""
    masks = figures.masks[figures.masks["class_index"] == index]
    regions = figures.regions[figures.regions["class_index"] == index]
    return {
        SHOWN: (masks["regions"] > 0).to_numpy(float),
        "share of pixels": masks["pixels"].to_numpy(),
        "regions a mask": masks["regions"].to_numpy(float),
        "pixels a region": regions["pixels"].to_numpy(float),
        "distance from the object's centre": regions["distance"].dropna().to_numpy(),
    }


def _paired(
    first: dict[str, np.ndarray], second: dict[str, np.ndarray]
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Both sides of each measure that at least one of them has values of."""
    for name in first:
        if len(first[name]) or len(second[name]):
            yield name, (first[name], second[name])


def _differences(
    real: np.ndarray, synthetic: np.ndarray, measure_name: str
) -> tuple[float, float, float, float]:
    means = tuple(float(side.mean()) if len(side) else np.nan for side in (real, synthetic))
    if measure_name == SHOWN or not len(real) or not len(synthetic):
        return (*means, np.nan, np.nan)
    ks = kolmogorov_smirnov(real, synthetic)
    return (*means, ks, float(stats.wasserstein_distance(real, synthetic)))


def kolmogorov_smirnov(first: np.ndarray, second: np.ndarray) -> float:
    """Largest gap between the two cumulative distributions, as scipy's `ks_2samp` without the test
    (which warns of two samples of one).
    """
    places = np.concatenate([first, second])
    below = [
        np.searchsorted(np.sort(side), places, "right") / len(side) for side in (first, second)
    ]
    return float(np.abs(below[0] - below[1]).max())
