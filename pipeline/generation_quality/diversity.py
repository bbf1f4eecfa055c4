"""Diversity: the mean perceptual distance between two photos of a set.

Between samples of one mask it tells whether the model draws one photo for each mask or many (Zhu
et al. 2017, BicycleGAN, section 5.2); between any two samples, whether the set is as varied as the
real one.
"""

from math import isqrt
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.data.pairs import load_pairs
from pipeline.generation_quality.measured import Measured
from pipeline.models.perceptual import PerceptualDistance

AT_ONCE = 16  # pairs of photos


def samples_of_one_mask(synthetic: pd.DataFrame) -> list[np.ndarray]:
    """Places of the samples of each mask, in the order of the manifest.

    The name of a mask is not enough: augmented masks bear the name of the training mask that they
    were made of, and are another mask each time. So their files must be the same as well.
    """
    same = synthetic.groupby(["mask_id", "mask_sha256"], sort=False)
    return [np.asarray(places) for places in same.indices.values()]


def draw_pairs(groups: list[np.ndarray], limit: int, rng: np.random.Generator) -> np.ndarray:
    """Pairs of places within groups: all of them or, beyond `limit`, so many at random.

    Args:
        groups: the places of each group.
        limit: of the pairs.
        rng: draws them, each pair being as likely as any other.

    Returns:
        int P×2, no pair twice.
    """
    ends = np.cumsum([len(group) * (len(group) - 1) // 2 for group in groups], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    numbers = rng.choice(total, limit, replace=False) if total > limit else np.arange(total)
    pairs = []
    for number in np.sort(numbers):
        group = np.searchsorted(ends, number, side="right")
        start = ends[group - 1] if group else 0
        first, second = _pair_number(int(number - start))
        pairs.append((groups[group][first], groups[group][second]))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _pair_number(number: int) -> tuple[int, int]:
    """The pairs (0, 1), (0, 2), (1, 2), (0, 3), … by their number."""
    second = (1 + isqrt(1 + 8 * number)) // 2
    return number - second * (second - 1) // 2, second


def mean_distance(
    network: PerceptualDistance, folder: Path, frame: pd.DataFrame, pairs: np.ndarray, what: str
) -> Measured:
    """Mean and standard deviation of the perceptual distance of pairs of photos.

    Args:
        network: on its device.
        folder: what the paths in `frame` are relative to.
        frame: rows of the set's manifest.
        pairs: int P×2 places in `frame`.
        what: the pairs are, for the note: `two photos`.
    """
    if len(pairs) == 0:
        return Measured(None, 0, note=f"no {what}")
    distances = []
    for first in range(0, len(pairs), AT_ONCE):
        chosen = pairs[first : first + AT_ONCE]
        images = load_pairs(folder, frame.iloc[chosen.ravel()]).images
        distances.append(_distances(network, images.reshape(-1, 2, *images.shape[1:])))
    distances = np.concatenate(distances)
    note = f"mean perceptual distance of {what}"
    return Measured(float(distances.mean()), len(pairs), float(distances.std()), note=note)


@torch.inference_mode()
def _distances(network: PerceptualDistance, photos: np.ndarray) -> np.ndarray:
    """float64 P of uint8 P×2×H×W×3."""
    pixels = torch.from_numpy(photos).to(network.scale.device)
    first, second = pixels.permute(1, 0, 4, 2, 3).float() / 127.5 - 1  # each P×3×H×W
    return network(first, second).double().cpu().numpy()
