"""Whether a photo that was drawn for a training photo's mask repeats that photo itself.

The two share their outlines whatever the model learned. What they need not share is the fine
texture within: so each region is taken by itself, without a margin along its outline and without
its slow shades, and the rest is correlated. Held-out photos, laid on training photos likewise, say
what correlation is usual; none of their comparisons is as high as that of a training photo painted
back into its own mask (docs/results/leakage.md).
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from pipeline.data.pairs import Pairs

FINE_PX = 1.5  # standard deviation of the blur that is taken off
MARGIN_PX = 3  # along outlines
SHIFT_PX = 2  # either way, that photos are laid on each other
FEWEST_PX = 80  # less in common tells nothing
COMPARED = 20  # training photos that each held-out photo is laid on


class Texture(NamedTuple):
    """Of one photo: fine brightness float H×W, and where it is known, bool H×W."""

    fine: np.ndarray
    known: np.ndarray


def texture(pairs: Pairs, index: int) -> Texture:
    """Of one pair: of each class on the object, and of the rest of it, by itself."""
    grey = pairs.images[index].mean(axis=2)
    labels, fine = pairs.masks[index], np.zeros_like(grey)
    known = np.zeros(grey.shape, dtype=bool)
    shown = np.ones_like(known) if pairs.objects is None else pairs.objects[index]
    for label in np.unique(labels):
        region = (labels == label) & (shown | (label > 0))
        weight = ndimage.gaussian_filter(region.astype(float), FINE_PX)
        blurred = ndimage.gaussian_filter(np.where(region, grey, 0.0), FINE_PX)
        inner = ndimage.binary_erosion(region, iterations=MARGIN_PX)
        fine[inner] = grey[inner] - blurred[inner] / weight[inner]
        known |= inner
    return Texture(fine, known)


def likeness(first: Texture, second: Texture) -> float:
    """The highest correlation over small shifts, −1 … 1; NaN where too little is in common."""
    highest = np.nan
    steps = range(-SHIFT_PX, SHIFT_PX + 1)
    for shift in ((down, right) for down in steps for right in steps):
        fine, known = (np.roll(part, shift, axis=(0, 1)) for part in second)
        common = first.known & known
        if common.sum() < FEWEST_PX:
            continue
        x, y = (part[common] - part[common].mean() for part in (first.fine, fine))
        norm = np.sqrt((x @ x) * (y @ y))
        highest = np.fmax(highest, x @ y / norm if norm else 0.0)
    return float(highest)


def own_likeness(drawn: Pairs, train: Pairs, drawn_for: np.ndarray) -> np.ndarray:
    """Of each of M photos to the one whose mask it was drawn for, float M.

    Args:
        drawn: the M pairs.
        train: the training pairs.
        drawn_for: int M, places in `train`; −1 = none, which gives NaN.
    """
    return np.array(
        [
            np.nan if own < 0 else likeness(texture(drawn, place), texture(train, own))
            for place, own in enumerate(drawn_for)
        ]
    )


def usual_likeness(held_out: Pairs, train: Pairs, rng: np.random.Generator) -> np.ndarray:
    """Of each of V held-out photos to the likest of some training photos, float V."""
    highest = []
    for place in range(len(held_out)):
        own = texture(held_out, place)
        others = rng.choice(len(train), min(COMPARED, len(train)), replace=False)
        highest.append(np.fmax.reduce([likeness(own, texture(train, k)) for k in others]))
    return np.array(highest)
