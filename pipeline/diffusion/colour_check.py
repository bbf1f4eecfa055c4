"""How far the colours of what a model in training draws are from those of the training photos.

SynthSet (section 4, "Weight Selection") watches the Jensen-Shannon divergence between the RGB
histograms of the training photos and of 64 samples: lower means that more of the colours, and so of
the fields or lights that the photos show, are drawn.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.data.pairs import Pairs
from pipeline.diffusion.painting import Painter, to_pixels
from pipeline.diffusion.previews import paint_like
from pipeline.diffusion.sampling import SamplerSettings
from pipeline.diffusion.training_settings import ColourDivergenceSettings
from pipeline.evaluation.colour_divergence import colour_divergence, colour_histograms
from pipeline.io.seeding import torch_generator

DRAWN_AT_ONCE = 16


@dataclass(frozen=True)
class ColourCheck:
    """Draws with the same noise each time, so that measurements of different steps compare."""

    pairs: Pairs  # for training
    total_classes: int
    settings: ColourDivergenceSettings
    seed: int
    painter: Painter

    @cached_property
    def _real(self) -> np.ndarray:
        return colour_histograms(self.pairs.images)

    def measure(self) -> float:
        """Mean divergence of the three channels, in nats, with the weights at the call."""
        sampler = SamplerSettings(steps=self.settings.steps)
        drawn = []
        for first in range(0, self.settings.samples, DRAWN_AT_ONCE):
            indices = range(first, min(first + DRAWN_AT_ONCE, self.settings.samples))
            chosen = [index % len(self.pairs) for index in indices]
            noise = [torch_generator(self.seed, "colours", index) for index in indices]
            painted = paint_like(
                self.painter, self.pairs, chosen, self.total_classes, noise, sampler
            )
            drawn.append(to_pixels(painted.photos))
        return colour_divergence(self._real, colour_histograms(np.concatenate(drawn)))
