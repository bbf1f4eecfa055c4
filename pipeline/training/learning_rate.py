"""The learning rate over a training: linear warm-up, then constant or a cosine to 0."""

import math
from typing import Literal

from pydantic import Field

from pipeline.io.params import Settings


class LearningRateSettings(Settings):
    """Part of the settings of a training."""

    learning_rate: float = Field(1e-4, gt=0)
    warmup_steps: int = Field(0, ge=0)
    decay: Literal["cosine", "none"] = "none"

    def learning_rate_at(self, step: int, total_steps: int) -> float:
        """Learning rate of `step` (from 0)."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.decay == "none":
            return self.learning_rate * warm
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / total_steps))
