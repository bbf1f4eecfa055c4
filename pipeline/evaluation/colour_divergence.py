"""How far the colours of two sets of photos lie apart, which SynthSet selects weights by.

Heschl et al., "Weight Selection": the Jensen-Shannon divergence between the RGB distributions of
the training photos and of generated ones, each channel's by itself, averaged. In nats, so between
0 (the same distribution) and ln 2 = 0.693 (no value in common). It says nothing of where colours
are in a picture. Both sets must have gone through the same preprocessing.
"""

import numpy as np
from scipy.spatial.distance import jensenshannon

TOTAL_VALUES = 256
CHANNELS = 3


def colour_histograms(images: np.ndarray, bins: int = 64) -> np.ndarray:
    """Shares of the pixels in equal bins over 0…255, whatever values occur.

    Args:
        images: uint8 N×H×W×3, at least one pixel.
        bins: their number, at most 256.

    Returns:
        float64 3×bins, every row with sum 1.

    Raises:
        ValueError: images of another shape or type, or none.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != CHANNELS:
        raise ValueError(f"images: got {images.dtype} {images.shape}, expected uint8 N×H×W×3")
    if images.size == 0:
        raise ValueError(f"images: got shape {images.shape}, expected at least one pixel")
    counts = np.stack(
        [
            np.histogram(images[..., channel], bins=bins, range=(0, TOTAL_VALUES))[0]
            for channel in range(CHANNELS)
        ]
    )
    return counts / counts.sum(axis=1, keepdims=True)


def colour_divergence(a: np.ndarray, b: np.ndarray) -> float:
    """Jensen-Shannon divergence of two sets' colours in nats, the mean of the channels.

    Args:
        a: float 3×bins, from colour_histograms.
        b: of the other set, with as many bins.

    Returns:
        In [0, ln 2]; symmetric.

    Raises:
        ValueError: histograms of different shapes, or not of sum 1.
    """
    if a.shape != b.shape:
        raise ValueError(f"histograms: got shapes {a.shape} and {b.shape}, expected the same")
    sums = np.stack([a, b]).sum(axis=2)
    if not np.allclose(sums, 1):
        raise ValueError(f"histograms: got rows with sums {sums.tolist()}, expected 1")
    # scipy gives the square root, and NaN where rounding leaves a sum just below zero
    with np.errstate(invalid="ignore"):
        distances = np.nan_to_num(jensenshannon(a, b, axis=1))
    return float(np.mean(distances**2))
