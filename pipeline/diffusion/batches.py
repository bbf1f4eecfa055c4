"""The batch of training step s: a function of the seed and s, whatever happened before.

So a resumed training sees the same data, and any number of processes shares one batch: each takes
its slice.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from pipeline.diffusion.examples import Examples
from pipeline.diffusion.timesteps import TimestepSchedule, choose_timesteps
from pipeline.io.cores import total_cores
from pipeline.io.seeding import torch_generator
from pipeline.models.conditioning import null_condition
from pipeline.training.order import Order

# At 256 px a batch of 16 takes some 30 MB.
_MOST_AHEAD = 4


@dataclass(frozen=True)
class Batch:
    """One process's share of a step's examples, on the CPU."""

    x0: Tensor  # float32 N×C×h×w
    condition: Tensor  # float32 N×K×H×W, zeros where dropped
    defects: Tensor  # bool N×h×w
    t: Tensor  # integer N
    epsilon: Tensor  # float32 N×C×h×w

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        return Batch(*(tensor.to(device) for tensor in vars(self).values()))

    def parts(self, total: int) -> list["Batch"]:
        """The same examples in `total` batches of equal size, which must divide N."""
        chunks = (tensor.chunk(total) for tensor in vars(self).values())
        return [Batch(*tensors) for tensors in zip(*chunks, strict=True)]


@dataclass(frozen=True)
class BatchSource:
    """Makes the batch of any step."""

    examples: Examples
    batch_size: int  # of all processes together
    drop_rate: float  # probability that an example is trained with the null condition
    timesteps: int
    seed: int
    rank: int = 0
    total_ranks: int = 1
    opening: TimestepSchedule | None = None  # None = uniform over all timesteps

    @property
    def order(self) -> Order:
        """Which pairs the batch of a step holds."""
        return Order(len(self.examples), self.batch_size, self.seed)

    def batch(self, step: int) -> Batch:
        """This process's slice of the batch of `step`."""
        size = self.batch_size // self.total_ranks
        own = slice(self.rank * size, (self.rank + 1) * size)
        places = range(self.batch_size)[own]
        indices = self.order.indices(step)
        x0, condition, defects = self.examples.augmented(step, places, indices[own])
        generator = torch_generator(self.seed, "step", step)
        # Timesteps are stratified over the batch (Kingma et al. 2021, VDM, appendix I.1): each has
        # its distribution, but a batch always holds low and high ones: the gradient varies less.
        shares = torch.arange(self.batch_size) / self.batch_size + torch.rand(
            (), generator=generator
        )
        t = choose_timesteps(shares % 1, self.order.epoch(step), self.timesteps, self.opening)
        t = t[torch.randperm(self.batch_size, generator=generator)]
        dropped = torch.rand(self.batch_size, generator=generator) < self.drop_rate
        epsilon = torch.randn(self.batch_size, *x0.shape[1:], generator=generator)
        condition = torch.where(
            dropped[own].view(-1, 1, 1, 1), null_condition(condition), condition
        )
        return Batch(x0, condition, defects, t[own], epsilon[own])

    def batches(self, start: int, stop: int, ahead: int) -> Iterator[Batch]:
        """The batches of steps start…stop−1.

        Args:
            start: first step.
            stop: step after the last.
            ahead: how many are prepared, each by a thread of its own, while their predecessor is
                trained on; 0 = none, each as it is asked for.
        """
        if ahead == 0:
            yield from map(self.batch, range(start, stop))
            return
        with ThreadPoolExecutor(ahead) as pool:
            steps = iter(range(start, stop))
            coming = deque(pool.submit(self.batch, step) for step in islice(steps, ahead))
            while coming:
                batch = coming.popleft().result()
                coming.extend(pool.submit(self.batch, step) for step in islice(steps, 1))
                yield batch


def total_ahead(device: torch.device, processes: int) -> int:
    """How many batches each of the processes prepares while it trains on another.

    None where it trains on the CPU: the threads would take the cores that it computes on.
    """
    if device.type == "cpu":
        return 0
    cores = total_cores() // processes
    return max(1, min(_MOST_AHEAD, cores - 1))  # one core drives the GPU


def validation_batches(
    examples: Examples, batch_size: int, timesteps: int, seed: int
) -> Iterator[Batch]:
    """All pairs once, unaugmented and conditioned, with the same timesteps and noise each time.

    The timesteps are spread evenly over the process, in a random order over the pairs.
    """
    generator = torch_generator(seed, "validation")
    total = len(examples)
    t = ((torch.arange(total) + 0.5) / total * timesteps).long()
    t = t[torch.randperm(total, generator=generator)]
    for first in range(0, total, batch_size):
        part = slice(first, first + batch_size)
        x0, condition, defects = examples.plain(part)
        epsilon = torch.randn(x0.shape, generator=generator)
        yield Batch(x0, condition, defects, t[part], epsilon)
