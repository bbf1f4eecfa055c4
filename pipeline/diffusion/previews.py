"""Sample grids: what the model in training draws for a few masks, beside the real photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from pipeline.data.pairs import Pairs
from pipeline.diffusion.examples import to_tensors
from pipeline.diffusion.painting import Painter
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
        objects = [None] * len(self.pairs) if self.pairs.objects is None else self.pairs.objects
        images, masks = self.pairs.images[chosen], self.pairs.masks[chosen]
        silhouettes = [objects[index] for index in chosen]
        rows = [("mask", painted_masks(masks, silhouettes, self.colours)), ("real", images)]
        _, labels, regions = to_tensors(images, masks, silhouettes)
        conditions = encode_condition(labels, regions, len(self.colours))
        for guidance in sorted({0.0, self.settings.guidance}):
            sampler = SamplerSettings(steps=self.settings.steps, guidance=guidance)
            noise = [torch_generator(self.seed, "preview", i) for i in range(len(chosen))]
            drawn = self.painter.paint(conditions, noise, sampler)  # N×3×H×W
            pixels = ((drawn.cpu().permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255)
            rows.append((f"guidance {guidance:g}", pixels.numpy().astype(np.uint8)))
        return tile(rows)


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
