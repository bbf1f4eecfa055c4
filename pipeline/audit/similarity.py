"""How alike photos are: the highest correlation of their fingerprints over flips and shifts.

A product of matrices for each flip and shift: for N photos 676 products of N×2304 by 2304×N, half
of it by symmetry. 3,000 photos take two to five minutes on two cores, 300 take seconds.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.audit.fingerprints import SIDE
from pipeline.io.progress import progress

# Axes of N×H×W that are turned over; top-bottom and left-right together are half a turn.
FLIPS = {"none": (), "top-bottom": (1,), "left-right": (2,), "half turn": (1, 2)}
MAX_SHIFT = SIDE // 8
_BLOCK = 256


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Highest correlation float32 N×M of fingerprints N×S×S and M×S×S over flips and shifts."""
    best = np.full((len(first), len(second)), -1, np.float32)
    with progress(len(first) * len(second), "pairs of photos") as bar:
        for rows in _blocks(len(first)):
            for columns in _blocks(len(second)):
                best[rows, columns] = _highest(first[rows], second[columns])
                bar.update(best[rows, columns].size)
    return best


def correlations_within(prints: np.ndarray) -> np.ndarray:
    """The same among N fingerprints: symmetric, float32 N×N."""
    best = np.full((len(prints), len(prints)), -1, np.float32)
    blocks = _blocks(len(prints))
    with progress(len(blocks) * (len(blocks) + 1) // 2, "blocks of photos") as bar:
        for index, rows in enumerate(blocks):
            for columns in blocks[index:]:
                best[rows, columns] = _highest(prints[rows], prints[columns])
                best[columns, rows] = best[rows, columns].T
                bar.update()
    return best


def align(first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    """How each second photo has to be moved to lie on the first, from P pairs of fingerprints.

    Args:
        first: float32 P×S×S.
        second: float32 P×S×S, moved onto the first.

    Returns:
        P rows: `flip` (a name of `FLIPS`, done first), `shift_down` and `shift_right` in shares of
        the sides, and the `correlation` there.
    """
    reach = np.arange(-MAX_SHIFT, MAX_SHIFT + 1)
    spectra = np.fft.rfft2(first)
    every = [
        np.fft.irfft2(spectra * np.fft.rfft2(np.flip(second, axes)).conj(), s=(SIDE, SIDE))
        for axes in FLIPS.values()
    ]
    near = np.stack(every, axis=1)[:, :, reach[:, None], reach]  # P×flips×down×right
    best = near.reshape(len(near), np.prod(near.shape[1:])).argmax(axis=1)
    flip, down, right = np.unravel_index(best, near.shape[1:])
    return pd.DataFrame(
        {
            "flip": np.array(list(FLIPS))[flip],
            "shift_down": reach[down] / SIDE,
            "shift_right": reach[right] / SIDE,
            "correlation": near.max(axis=(1, 2, 3)),
        }
    )


def _highest(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    flat = first.reshape(len(first), -1)
    best = np.full((len(first), len(second)), -1, np.float32)
    for moved in _moved(second):
        np.maximum(best, flat @ moved.reshape(len(second), -1).T, out=best)
    return best


def _moved(prints: np.ndarray) -> Iterator[np.ndarray]:
    """The fingerprints under each flip and shift.

    What leaves on one side comes in on the other: fingerprints fade to 0 there.
    """
    shifts = range(-MAX_SHIFT, MAX_SHIFT + 1)
    for axes in FLIPS.values():
        flipped = np.flip(prints, axes)
        for down in shifts:
            for right in shifts:
                yield np.roll(flipped, (down, right), axis=(1, 2))


def _blocks(total: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, total, _BLOCK)]
