"""Pairs that were drawn small, at the size of the prepared set: resampled, or drawn anew.

Resampling is what SynthSet compares its super-resolution with (figure 5, left).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from PIL import Image

from pipeline.data.sample_store import SyntheticPair, read_pair
from pipeline.diffusion.drawing import DrawnPair, Method, finished
from pipeline.diffusion.sampling import SuperresSamplingSettings
from pipeline.diffusion.superres import SuperresPainter, nearest_twice
from pipeline.io.images import read_image, read_mask, read_silhouette
from pipeline.io.seeding import derive_seed


def superresolved(
    small: Path, painter: SuperresPainter, settings: SuperresSamplingSettings, seed: int
) -> Method:
    """Pairs of a store at twice the size, photo and mask drawn for them.

    Args:
        small: store with the finished pairs.
        painter: of the super-resolution model.
        settings: how to draw.
        seed: the pipeline's.
    """
    painter.network.to(PartialState().device, memory_format=torch.channels_last)
    layout = painter.layout

    def draw(indices: Sequence[int]) -> list[DrawnPair]:
        facts = [read_pair(small, index) for index in indices]
        before = [_read(small, pair) for pair in facts]
        images, masks, objects = zip(*before, strict=True)
        x, _ = layout.encode(images, masks, objects)  # N×(3+k)×h×w
        seeds = [derive_seed(seed, "superres", index) for index in indices]
        noise = [torch.Generator().manual_seed(item) for item in seeds]
        drawn = painter.paint(x, noise, settings, settings.condition_noise)
        names = [pair.mask_id for pair in facts]
        pairs = finished(drawn, names, layout.total_classes, layout.with_object)
        return [_with_faults(*item) for item in zip(pairs, facts, strict=True)]

    return draw


def resampled(small: Path) -> Method:
    """Pairs of a store at twice the size: photos bilinear, masks by nearest neighbour."""

    def draw(indices: Sequence[int]) -> list[DrawnPair]:
        pairs = []
        for index in indices:
            facts = read_pair(small, index)
            image, mask, silhouette = _read(small, facts)
            large = nearest_twice(mask)
            size = (large.shape[1], large.shape[0])
            photo = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
            outline = None if silhouette is None else nearest_twice(silhouette)
            pair = DrawnPair(np.array(photo), large, outline, facts.mask_id)
            pairs.append(_with_faults(pair, facts))
        return pairs

    return draw


def _read(store: Path, pair: SyntheticPair) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    files = pair.files()
    silhouette = files["object"]
    return (
        read_image(store / files["image"]),
        read_mask(store / files["mask"]),
        None if silhouette is None else read_silhouette(store / silhouette),
    )


def _with_faults(pair: DrawnPair, facts: SyntheticPair) -> DrawnPair:
    return DrawnPair(
        pair.image, pair.mask, pair.object, pair.mask_id, facts.mask_rejected, facts.mask_fault
    )
