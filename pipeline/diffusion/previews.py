"""Sample grids: what the model in training draws for a few masks, beside the real photos."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from pydantic import Field
from torch import nn

from pipeline.data.pairs import Pairs
from pipeline.diffusion.batches import to_tensors
from pipeline.diffusion.sampling import SamplerSettings, draw
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.io.params import Settings
from pipeline.io.seeding import torch_generator
from pipeline.models.conditioning import encode_condition

LABEL_WIDTH = 88
GAP = 2
SMALLEST_TILE = 96  # smaller images are enlarged by a whole factor
OBJECT_COLOUR = (70, 70, 70)


class PreviewSettings(Settings):
    """When and how sample grids are drawn; not what `sample` draws later."""

    every_steps: int | None = Field(None, ge=1)  # None = no grids
    count: int = Field(6, ge=1)
    steps: int = Field(20, ge=1)
    guidance: float = Field(0.5, ge=0)


@dataclass(frozen=True)
class Preview:
    """A fixed choice of pairs and noise: grids of different steps show the same lemons."""

    pairs: Pairs
    colours: list[tuple[int, int, int]]
    settings: PreviewSettings
    seed: int

    def grid(self, network: nn.Module, diffusion: DiffusionSettings) -> np.ndarray:
        """Rows of masks, real photos, samples without and with guidance, as uint8 H×W×3."""
        chosen = _spread(len(self.pairs), self.settings.count)
        objects = [None] * len(self.pairs) if self.pairs.objects is None else self.pairs.objects
        images, masks = self.pairs.images[chosen], self.pairs.masks[chosen]
        silhouettes = [objects[index] for index in chosen]
        rows = [("mask", self._painted(masks, silhouettes)), ("real", images)]
        _, labels, regions = to_tensors(images, masks, silhouettes)
        conditions = encode_condition(labels, regions, len(self.colours))
        for guidance in sorted({0.0, self.settings.guidance}):
            sampler = SamplerSettings(steps=self.settings.steps, guidance=guidance)
            noise = [torch_generator(self.seed, "preview", i) for i in range(len(chosen))]
            device = next(network.parameters()).device
            drawn = draw(network, diffusion, conditions.to(device), noise, sampler)  # N×3×H×W
            pixels = ((drawn.cpu().permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255)
            rows.append((f"guidance {guidance:g}", pixels.numpy().astype(np.uint8)))
        return _tile(rows)

    def _painted(self, masks: np.ndarray, silhouettes: list[np.ndarray | None]) -> np.ndarray:
        palette = np.array(self.colours, dtype=np.uint8)
        painted = palette[masks]  # N×H×W×3
        for picture, mask, silhouette in zip(painted, masks, silhouettes, strict=True):
            if silhouette is not None:
                picture[silhouette & (mask == 0)] = OBJECT_COLOUR
        return painted


def _spread(total: int, count: int) -> list[int]:
    """`count` indices (fewer if there are fewer) spread evenly over 0…total−1."""
    count = min(count, total)
    return [int((i + 0.5) * total / count) for i in range(count)]


def _tile(rows: list[tuple[str, np.ndarray]]) -> np.ndarray:
    count, height, width = rows[0][1].shape[:3]
    factor = max(1, -(-SMALLEST_TILE // min(height, width)))
    height, width = height * factor, width * factor
    canvas = Image.new(
        "RGB", (LABEL_WIDTH + count * (width + GAP), len(rows) * (height + GAP)), "white"
    )
    pen = ImageDraw.Draw(canvas)
    for line, (label, images) in enumerate(rows):
        top = line * (height + GAP)
        pen.text((4, top + height // 2), label, fill="black")
        for column, image in enumerate(images):
            tile = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
            canvas.paste(tile, (LABEL_WIDTH + column * (width + GAP), top))
    return np.array(canvas)
