"""Sample grids: what the model in training draws for a few masks, beside the real photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field

from pipeline.data.label_maps import split_labels
from pipeline.data.pairs import Pairs
from pipeline.diffusion.examples import to_tensors
from pipeline.diffusion.painting import Drawn, Painter, to_pixels
from pipeline.diffusion.sampling import SamplerSettings
from pipeline.io.params import Settings
from pipeline.io.seeding import torch_generator
from pipeline.models.conditioning import encode_condition
from pipeline.training.grids import spread, tile

OBJECT_COLOUR = (70, 70, 70)


class PreviewSettings(Settings):
    """When and how sample grids are drawn; not what `sample` draws later."""

    every_steps: int | None = Field(None, ge=1)  # None = no grids
    count: int = Field(6, ge=1)
    steps: int = Field(20, ge=1)
    guidance: float = Field(0.0, ge=0)


@dataclass(frozen=True)
class Preview:
    """A fixed choice of pairs and noise: grids of different steps show the same lemons."""

    pairs: Pairs
    colours: list[tuple[int, int, int]]
    settings: PreviewSettings
    seed: int
    painter: Painter

    def grid(self) -> np.ndarray:
        """Rows of masks, real photos, samples without and with guidance, as uint8 H×W×3."""
        chosen = spread(len(self.pairs), self.settings.count)
        images, masks = self.pairs.images[chosen], self.pairs.masks[chosen]
        silhouettes = silhouettes_of(self.pairs, chosen)
        rows = [("mask", painted_masks(masks, silhouettes, self.colours)), ("real", images)]
        for guidance in sorted({0.0, self.settings.guidance}):
            sampler = SamplerSettings(steps=self.settings.steps, guidance=guidance)
            noise = [torch_generator(self.seed, "preview", i) for i in range(len(chosen))]
            drawn = paint_like(self.painter, self.pairs, chosen, len(self.colours), noise, sampler)
            name = f"guidance {guidance:g}" if self.painter.is_conditioned else "drawn"
            rows.append((name, to_pixels(drawn.photos)))
            if drawn.labels is not None:
                rows.append(("its mask", self._painted_labels(drawn.labels)))
        return tile(rows)

    def _painted_labels(self, labels: np.ndarray) -> np.ndarray:
        with_object = self.pairs.objects is not None
        masks, objects = split_labels(labels, len(self.colours), with_object)
        silhouettes = [None] * len(masks) if objects is None else list(objects)
        return painted_masks(masks, silhouettes, self.colours)


def paint_like(
    painter: Painter,
    pairs: Pairs,
    chosen: Sequence[int],
    total_classes: int,
    noise: list[torch.Generator],
    sampler: SamplerSettings,
) -> Drawn:
    """One photo for each chosen pair: for its mask, or of its size if the painter draws masks."""
    images, masks = pairs.images[chosen], pairs.masks[chosen]
    if not painter.is_conditioned:
        return painter.paint(torch.zeros(len(masks), 0, *masks.shape[1:]), noise, sampler)
    _, labels, regions = to_tensors(images, masks, silhouettes_of(pairs, chosen))
    return painter.paint(encode_condition(labels, regions, total_classes), noise, sampler)


def silhouettes_of(pairs: Pairs, chosen: Sequence[int]) -> list[np.ndarray | None]:
    """Of each chosen pair; None for each where the set has none."""
    if pairs.objects is None:
        return [None] * len(chosen)
    return [pairs.objects[index] for index in chosen]


def painted_masks(
    masks: np.ndarray,
    silhouettes: Sequence[np.ndarray | None],
    colours: list[tuple[int, int, int]],
) -> np.ndarray:
    """Masks (uint8 N×H×W) in the colours of their classes, the object's rest in grey: N×H×W×3."""
    painted = np.array(colours, dtype=np.uint8)[masks]  # N×H×W×3
    for picture, mask, silhouette in zip(painted, masks, silhouettes, strict=True):
        if silhouette is not None:
            picture[silhouette & (mask == 0)] = OBJECT_COLOUR
    return painted
