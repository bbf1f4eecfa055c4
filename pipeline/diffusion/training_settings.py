"""How a diffusion model is trained: section `training` of an image model's parameters."""

import math
from typing import Literal

import torch
from pydantic import Field, model_validator

from pipeline.data.augmentation import GeometricSettings
from pipeline.diffusion.previews import PreviewSettings
from pipeline.io.cores import total_cores
from pipeline.io.errors import UserError
from pipeline.io.params import Settings
from pipeline.training.learning_rate import LearningRateSettings
from pipeline.training.precision import PrecisionWithFp16

COLOUR_DIVERGENCE = "colour_divergence"
Monitor = Literal["train_loss", "val_loss", "every", "colour_divergence"]


class ColourDivergenceSettings(Settings):
    """When and on what the colours of samples are compared with those of the training photos."""

    every_steps: int | None = Field(None, ge=1)  # None = never
    samples: int = Field(64, ge=1)  # drawn each time; 64 in SynthSet
    steps: int = Field(20, ge=1)  # of the sampler


class TrainingSettings(LearningRateSettings):
    """Length, optimiser, average, precision and monitoring; defaults of Wang et al. 2022 (SDM)."""

    max_steps: int | None = Field(None, ge=1)  # None = no limit
    max_epochs: int | None = Field(None, ge=1)  # None = no limit; the earlier of both ends it
    batch_size: int = Field(32, ge=1)  # of all processes together
    accumulation: int = Field(1, ge=1)  # parts that a process computes it in, to save memory
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)  # None = gradients are not clipped
    drop_rate: float = Field(0.0, ge=0, le=1)  # of conditions, for guidance
    ema_decay: float = Field(0.9999, ge=0, lt=1)
    precision: PrecisionWithFp16 = "fp32"
    gradient_checkpointing: bool = False
    threads: int | None = Field(None, ge=1)  # None = all cores
    augment: GeometricSettings = GeometricSettings()
    monitor: Monitor = "train_loss"  # what the best checkpoint is best by
    candidates: list[Monitor] = Field([])  # by which further checkpoints are the best
    colour_divergence: ColourDivergenceSettings = ColourDivergenceSettings()
    evaluate_every_steps: int | None = Field(None, ge=1)  # None = no validation loss
    log_every_steps: int = Field(50, ge=1)
    checkpoint_every_s: float = Field(300.0, ge=0)  # 0 = after each step
    preview: PreviewSettings = PreviewSettings()

    @model_validator(mode="after")
    def _check_together(self) -> "TrainingSettings":
        if self.max_steps is None and self.max_epochs is None:
            raise ValueError("max_steps or max_epochs to end the training, not null for both")
        if len(self.monitors) <= len(self.candidates):
            raise ValueError(f"candidates other than monitor, each once; got {self.candidates}")
        evaluated = self.monitors & {"val_loss", "every"}
        if evaluated and self.evaluate_every_steps is None:
            raise ValueError(f"evaluate_every_steps as a number with monitor {evaluated.pop()}")
        if COLOUR_DIVERGENCE in self.monitors and self.colour_divergence.every_steps is None:
            raise ValueError(
                "colour_divergence.every_steps as a number where weights are so chosen"
            )
        return self

    @property
    def monitors(self) -> set[str]:
        """All that weights are chosen by."""
        return {self.monitor, *self.candidates}

    def check_against(self, validation_pairs: int, processes: int) -> None:
        """Refuse what the data or the number of processes cannot serve.

        Raises:
            UserError: the validation loss has no pairs, or the batch cannot be shared out.
        """
        if "val_loss" in self.monitors and validation_pairs == 0:
            raise UserError(
                "training.monitor or candidates: got val_loss, but the prepared set has no "
                "validation pairs; raise split.val or take train_loss"
            )
        if self.batch_size % (processes * self.accumulation):
            raise UserError(
                f"training.batch_size: got {self.batch_size}, expected a multiple of "
                f"{processes * self.accumulation}, for {processes} processes that train together "
                f"and training.accumulation {self.accumulation}"
            )

    def use_threads(self) -> None:
        """Compute with `threads` from here on: sums in floating point depend on their number."""
        torch.set_num_threads(self.threads or total_cores())

    def total_steps(self, total_pairs: int) -> int:
        """Optimiser steps of the whole training on `total_pairs` pairs."""
        limits = [] if self.max_steps is None else [self.max_steps]
        if self.max_epochs is not None:
            limits.append(math.ceil(self.max_epochs * total_pairs / self.batch_size))
        return min(limits)
