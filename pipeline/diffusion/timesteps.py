"""Which timesteps a training visits: all alike, or the little noise first.

Against a discriminator SynthSet (section 3) opens the process gradually, at epoch s up to
    t_max = min(T, σ·⌊s/α⌋ + i),
and until a given epoch visits t with a probability proportional to t, so that most of the training
goes to the steps that were opened last. The paper counts t = 1 … T; here t = 0 … T−1.
"""

import torch
from pydantic import Field
from torch import Tensor

from pipeline.io.params import Settings


class TimestepSchedule(Settings):
    """How the process opens; the defaults are the paper's, which reach T = 1000 at epoch 495."""

    start: int = Field(10, ge=1)  # i: timesteps open from the start
    step: int = Field(10, ge=1)  # σ: timesteps opened at once
    every_epochs: int = Field(5, ge=1)  # α: epochs between two openings
    prioritised_epochs: int = Field(500, ge=0)  # epochs in which p(t) ∝ t; 0 = never

    def open_timesteps(self, epoch: int, timesteps: int) -> int:
        """t_max of the epoch (from 0), at most `timesteps`."""
        return min(timesteps, self.step * (epoch // self.every_epochs) + self.start)


def choose_timesteps(
    shares: Tensor, epoch: int, timesteps: int, schedule: TimestepSchedule | None
) -> Tensor:
    """Timesteps whose distribution follows from uniform numbers by the inverse of its sum.

    Args:
        shares: float N in [0, 1).
        epoch: passes over the data so far.
        timesteps: T of the process.
        schedule: None = uniform over all T.

    Returns:
        integer N of 0 … T−1, the larger the share the larger.
    """
    if schedule is None:
        return _uniform(shares, timesteps)
    opened = schedule.open_timesteps(epoch, timesteps)
    if epoch >= schedule.prioritised_epochs:
        return _uniform(shares, opened)
    weights = torch.arange(1, opened + 1, dtype=torch.float64)  # ∝ t, counted from 1
    below = torch.cumsum(weights, dim=0) / weights.sum()  # P(t ≤ …)
    chosen = torch.searchsorted(below, shares.double(), right=True)
    return chosen.clamp(max=opened - 1)


def _uniform(shares: Tensor, total: int) -> Tensor:
    return (shares * total).long().clamp(max=total - 1)
