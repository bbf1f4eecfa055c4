"""Masks that a diffusion model draws as conditions (All-Latent's paired synthesis, chapter 5).

Masks are drawn in batches that always hold the same indices, batch k holds kB … kB+B−1: floating
point sums may depend on a batch's size, so only then is mask i the same whatever the count is and
in whatever order masks are asked for. Implausible draws are drawn again or kept, and named.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import Field

from pipeline.data.pairs import Pairs
from pipeline.io.params import Settings
from pipeline.io.seeding import derive_seed
from pipeline.masks.plausibility import RealMasks, faults, learn
from pipeline.masks.real import MaskDraw, MaskSource

BATCHES_KEPT = 4

# one mask (uint8 H×W) and silhouette (bool H×W, or None) for each seed
Draw = Callable[[list[int]], list[tuple[np.ndarray, np.ndarray | None]]]


class GeneratedMaskSettings(Settings):
    """What happens to implausible masks, and how masks are drawn."""

    on_implausible: Literal["redraw", "keep"]
    tries: int = Field(ge=1)  # with redraw: draws of a mask; the last is used as it is
    batch_size: int = Field(ge=1)  # masks in one pass of the network
    sampling: dict[str, Any]  # of the mask model, which checks them: MaskSamplerSettings


def generated_masks(
    pairs: Pairs, settings: GeneratedMaskSettings, seed: int, draw: Draw
) -> MaskSource:
    """Masks of a mask model, judged by what the training masks allow.

    Args:
        pairs: the training pairs; with silhouettes iff the mask model draws them.
        settings: see there.
        seed: the pipeline's.
        draw: the mask model: the i-th mask depends on the i-th seed (and, in its last bits, on how
            many are drawn at once).
    """
    real = learn(pairs.masks, pairs.objects)
    size = settings.batch_size

    @lru_cache(maxsize=BATCHES_KEPT)
    def batch(number: int) -> list[MaskDraw]:
        return _draw_batch(range(number * size, (number + 1) * size), settings, seed, draw, real)

    return lambda index: batch(index // size)[index % size]


def _draw_batch(
    indices: range, settings: GeneratedMaskSettings, seed: int, draw: Draw, real: RealMasks
) -> list[MaskDraw]:
    """All masks of a batch; the implausible ones are redrawn together."""
    chosen: dict[int, MaskDraw] = {}
    waiting = list(indices)
    for attempt in range(settings.tries if settings.on_implausible == "redraw" else 1):
        seeds = [derive_seed(seed, "drawn mask", index, attempt) for index in waiting]
        for index, (mask, silhouette) in zip(waiting, draw(seeds), strict=True):
            before = chosen.get(index)
            rejected = () if before is None else (*before.rejected, str(before.fault))
            fault = next(iter(faults(mask, silhouette, real)), None)  # the gravest
            chosen[index] = MaskDraw(mask, silhouette, f"drawn_{index:06d}", rejected, fault)
        waiting = [index for index in waiting if chosen[index].fault is not None]
        if not waiting:
            break
    return [chosen[index] for index in indices]
