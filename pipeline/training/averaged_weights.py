"""The exponential moving average of a network's weights, which is what is sampled and judged."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pipeline.training.state import Tensors


class AveragedWeights:
    """Follows a network while it is trained."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Begin with the weights that the network has, on its device.

        Args:
            network: all its parameters are averaged.
            decay: largest of an update. Update n has min(decay, n/(n + 9)), so the first takes the
                weights as they are: the window is a tenth of the training so far, until `decay`
                caps it.
        """
        self.network = network
        self.decay = decay
        self.updates = 0  # how many there were
        self.names, self.parameters = zip(*network.named_parameters(), strict=True)
        self._average = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an optimiser step."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9)) if self.updates > 1 else 0.0
        get_ema_multi_avg_fn(decay)(self._average, self.parameters, self.updates)

    def tensors(self) -> Tensors:
        """The averages themselves, by name; they change with the next update."""
        return dict(zip(self.names, self._average, strict=True))

    @torch.no_grad()
    def restore(self, tensors: Tensors, updates: int) -> None:
        """Put back what `tensors` and `updates` gave."""
        for name, own in self.tensors().items():
            own.copy_(tensors[name])
        self.updates = updates

    @contextmanager
    def in_place(self) -> Iterator[nn.Module]:
        """The network with the averages as its weights, in evaluation mode."""
        weights = [parameter.detach().clone() for parameter in self.parameters]
        self._put(self._average)
        try:
            yield self.network.eval()
        finally:
            self._put(weights)

    @torch.no_grad()
    def _put(self, weights: list[torch.Tensor]) -> None:
        torch._foreach_copy_(list(self.parameters), weights)
