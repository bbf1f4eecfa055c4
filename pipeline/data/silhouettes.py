"""The silhouette of the photographed object: where a defect can be and where it cannot."""

import numpy as np
from scipy import ndimage


def threshold_silhouette(image: np.ndarray, labels: np.ndarray, threshold: int) -> np.ndarray:
    """The object on a dark background, as bool H×W.

    A pixel belongs to the object if its brightest channel exceeds `threshold`, or if it is
    labelled (black mould at the rim would otherwise bite a piece out of the fruit). Of those the
    largest connected part is kept, and holes in it are filled.

    Args:
        image: uint8 H×W×3.
        labels: uint8 H×W, 0 = background.
        threshold: 0…254.
    """
    # channel by channel: `any` or `max` over an axis of three takes eight times as long
    red, green, blue = np.moveaxis(image > threshold, 2, 0)
    bright = red | green | blue | (labels > 0)
    parts, total_parts = ndimage.label(bright)
    if total_parts == 0:
        return bright
    sizes = np.bincount(parts.ravel())[1:]
    largest = parts == 1 + int(sizes.argmax())
    return _without_holes(largest)


def _without_holes(part: np.ndarray) -> np.ndarray:
    """All that the background around a bool H×W mask cannot reach across sides of pixels."""
    around, _ = ndimage.label(np.pad(~part, 1, constant_values=True))
    return (around != around[0, 0])[1:-1, 1:-1]
