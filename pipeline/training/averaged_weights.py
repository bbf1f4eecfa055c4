"""The exponential moving average of a network's weights, which is what is sampled and judged."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers.training_utils import EMAModel
from torch import nn

from pipeline.training.state import Tensors


class AveragedWeights:
    """Follows a network while it is trained."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Begin with the weights that the network has, on its device.

        Args:
            network: all its parameters are averaged.
            decay: largest of an update. Without use_ema_warmup diffusers still warms up, by decay
                min(decay, (1 + n)/(10 + n)) at update n: the window is a tenth of the training so
                far, until `decay` caps it.
        """
        self.network = network
        self.names, self.parameters = zip(*network.named_parameters(), strict=True)
        self._average = EMAModel(self.parameters, decay=decay, foreach=True)

    def update(self) -> None:
        """Take in the weights after an optimiser step."""
        self._average.step(self.parameters)

    @property
    def updates(self) -> int:
        """How many there were."""
        return self._average.optimization_step

    def tensors(self) -> Tensors:
        """The averages themselves, by name; they change with the next update."""
        return dict(zip(self.names, self._average.shadow_params, strict=True))

    @torch.no_grad()
    def restore(self, tensors: Tensors, updates: int) -> None:
        """Put back what `tensors` and `updates` gave."""
        for name, own in self.tensors().items():
            own.copy_(tensors[name])
        self._average.optimization_step = updates

    @contextmanager
    def in_place(self) -> Iterator[nn.Module]:
        """The network with the averages as its weights, in evaluation mode."""
        self._average.store(self.parameters)
        self._average.copy_to(self.parameters)
        try:
            yield self.network.eval()
        finally:
            self._average.restore(self.parameters)
