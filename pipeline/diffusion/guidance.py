"""Classifier-free guidance (Ho & Salimans 2022) in the scale of the All-Latent/ISDM thesis.

Equation 3.12 of the thesis: ε = (1 + s)·ε(x, t, y) − s·ε(x, t, ∅). s = 0 means no guidance. SDM's
code and diffusers name w = 1 + s. The weights add up to 1, and x₀ and v are affine in ε for a
given x and t, so the same equation guides networks that predict x₀ or v.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pipeline.io.memory import free_bytes
from pipeline.io.params import Settings
from pipeline.models.conditioning import null_condition

KEPT_SHARE = 0.25  # of the free memory, for what a network computes once of its conditions


class GuidanceInterval(Settings):
    """Noise levels σ = √((1 − ᾱ)/ᾱ) at which guidance applies (Kynkäänniemi et al. 2024).

    At much noise guidance costs variety, at little it does nothing: outside the interval the
    network runs on the condition alone, at half the cost.
    """

    above: float = Field(default=0.0, ge=0)
    up_to: float | None = Field(default=None, gt=0)  # None = no limit

    @model_validator(mode="after")
    def _is_an_interval(self) -> "GuidanceInterval":
        if self.up_to is not None and self.up_to <= self.above:
            raise ValueError(f"up_to above {self.above}: got {self.up_to}")
        return self

    def holds(self, noise_level: float) -> bool:
        """Whether σ lies in it."""
        return self.above < noise_level and (self.up_to is None or noise_level <= self.up_to)


@runtime_checkable
class KeepsConditions(Protocol):
    """A network that computes once what depends on the condition alone."""

    def keep(self, conditions: Sequence[Tensor], limit_bytes: int) -> Any:
        """See `SpadeUNet.keep`; has `first()`, and may be passed in the condition's place."""


class GuidedNetwork:
    """A network's guided prediction for one batch of conditions, at any number of timesteps."""

    def __init__(
        self,
        network: nn.Module,
        condition: Tensor,
        guidance: float,
        interval: GuidanceInterval | None = None,
    ) -> None:
        """The network maps (x, timesteps, condition) to the channels of x, or to several times as
        many, of which the first are guided.

        Args:
            network: see above; one that `keep`s is given each condition once.
            condition: N×K×H×W, on the network's device.
            guidance: s of equation 3.12.
            interval: noise levels at which it applies; None = all.
        """
        self.network, self.guidance = network, guidance
        self.interval = interval or GuidanceInterval()
        is_guided = guidance > 0
        null = null_condition(condition)
        self._keeps = isinstance(network, KeepsConditions)
        if self._keeps:
            conditions = [condition, null[:1]] if is_guided else [condition]
            limit_bytes = int(KEPT_SHARE * free_bytes(condition.device))
            self._both = network.keep(conditions, limit_bytes)
            self._alone = self._both.first()
        else:
            self._alone = condition
            self._both = torch.cat([condition, null]) if is_guided else None  # 2N×K×H×W

    def predict(self, x: Tensor, timesteps: Tensor, noise_level: float) -> Tensor:
        """The network's output, guided.

        Args:
            x: noisy images, N×C×H×W.
            timesteps: integer N, of the training process.
            noise_level: σ of x. Within the interval the network runs once over 2N (or, if it
                keeps conditions, over N under both), otherwise, as at guidance 0, once over N.

        Returns:
            Float32 N×gC×H×W. The first C channels are guided, the others (a learned variance or
            skip) are those of the conditional pass: guidance is defined for the mean only.
        """
        if self.guidance == 0 or not self.interval.holds(noise_level):
            return self.network(x, timesteps, self._alone).float()
        times = 1 if self._keeps else 2
        inputs = x.repeat(times, 1, 1, 1), timesteps.repeat(times)
        conditional, unconditional = self.network(*inputs, self._both).float().chunk(2)  # N×gC×…
        channels = x.shape[1]
        mean, others = conditional[:, :channels], conditional[:, channels:]
        guided = (1 + self.guidance) * mean - self.guidance * unconditional[:, :channels]
        return torch.cat([guided, others], dim=1)
