"""Which pairs a training step sees, as a function of seed and step alone.

So a resumed training goes on with the very batches that an unbroken one would have seen.
"""

import functools

import numpy as np

from pipeline.io.errors import UserError
from pipeline.io.seeding import numpy_rng


def steps_per_epoch(total_pairs: int, batch_size: int) -> int:
    """Steps in which each pair is seen once; a last batch of one pair is dropped.

    DeepLabv3+ normalises a feature map of 1×1 over the batch, which one pair alone cannot do.

    Raises:
        UserError: fewer than two pairs.
    """
    if total_pairs < 2:
        raise UserError(f"got {total_pairs} training pairs, expected at least 2; enlarge the mix")
    full, rest = divmod(total_pairs, batch_size)
    return full + (rest > 1)


def batch_positions(total_pairs: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Positions (int) of the pairs of step `step` (from 0): each epoch is a new permutation."""
    epoch, position = divmod(step, steps_per_epoch(total_pairs, batch_size))
    order = _permutation(total_pairs, seed, epoch)
    return order[position * batch_size : (position + 1) * batch_size]


@functools.lru_cache(maxsize=2)
def _permutation(total_pairs: int, seed: int, epoch: int) -> np.ndarray:
    return numpy_rng(seed, "segmenter-order", epoch).permutation(total_pairs)
