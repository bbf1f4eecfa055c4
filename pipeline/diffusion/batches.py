"""The batch of training step s: a function of the seed and s, whatever happened before.

So a resumed training sees the same data, and any number of processes shares one batch: each takes
its slice. Pairs come in the order of a permutation an epoch; batches run across the epochs' ends,
hence no pair is left out, no batch is short, and a set may be smaller than a batch.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.data.augmentation import GeometricSettings, transform_pair
from pipeline.data.pairs import Pairs
from pipeline.io.seeding import numpy_rng, torch_generator
from pipeline.models.conditioning import encode_condition, null_condition


@dataclass(frozen=True)
class Batch:
    """One process's share of a step's examples, on the CPU."""

    images: Tensor  # float32 N×3×H×W in [−1, 1]
    condition: Tensor  # float32 N×K×H×W, zeros where dropped
    defects: Tensor  # bool N×H×W
    t: Tensor  # integer N
    epsilon: Tensor  # float32 N×3×H×W

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        return Batch(*(tensor.to(device) for tensor in vars(self).values()))


@dataclass(frozen=True)
class BatchSource:
    """Makes the batch of any step from pairs held in memory."""

    pairs: Pairs
    total_classes: int
    batch_size: int  # of all processes together
    drop_rate: float  # probability that an example is trained with the null condition
    augment: GeometricSettings
    timesteps: int
    seed: int
    rank: int = 0
    total_ranks: int = 1

    def epoch(self, step: int) -> int:
        """Passes over the data that were complete before `step`."""
        return step * self.batch_size // len(self.pairs)

    def indices(self, step: int) -> list[int]:
        """Which pairs the whole batch of `step` holds."""
        first = step * self.batch_size
        positions = [divmod(first + i, len(self.pairs)) for i in range(self.batch_size)]
        orders = {
            epoch: numpy_rng(self.seed, "order", epoch).permutation(len(self.pairs))
            for epoch in {epoch for epoch, _ in positions}
        }
        return [int(orders[epoch][place]) for epoch, place in positions]

    def batch(self, step: int) -> Batch:
        """This process's slice of the batch of `step`."""
        size = self.batch_size // self.total_ranks
        own = slice(self.rank * size, (self.rank + 1) * size)
        places = range(self.batch_size)[own]
        indices = self.indices(step)
        items = [self._augmented(step, place, indices[place]) for place in places]
        generator = torch_generator(self.seed, "step", step)
        height, width = self.pairs.masks.shape[1:]
        # Timesteps are stratified over the batch (Kingma et al. 2021, VDM, appendix I.1): each is
        # uniform, but a batch always holds low and high ones, so the gradient varies less.
        shares = torch.arange(self.batch_size) / self.batch_size + torch.rand(
            (), generator=generator
        )
        t = (shares % 1 * self.timesteps).long().clamp(max=self.timesteps - 1)
        t = t[torch.randperm(self.batch_size, generator=generator)]
        dropped = torch.rand(self.batch_size, generator=generator) < self.drop_rate
        epsilon = torch.randn(self.batch_size, 3, height, width, generator=generator)
        images, masks, objects = to_tensors(*zip(*items, strict=True))
        condition = encode_condition(masks, objects, self.total_classes)
        condition = torch.where(
            dropped[own].view(-1, 1, 1, 1), null_condition(condition), condition
        )
        return Batch(images, condition, masks > 0, t[own], epsilon[own])

    def batches(self, start: int, stop: int, ahead: bool) -> Iterator[Batch]:
        """The batches of steps start…stop−1.

        Args:
            start: first step.
            stop: step after the last.
            ahead: prepare each while its predecessor is trained on: for training on a GPU. On the
                CPU a second thread would take the cores that the training computes on.
        """
        if not ahead:
            yield from map(self.batch, range(start, stop))
            return
        with ThreadPoolExecutor(max_workers=1) as pool:
            coming = pool.submit(self.batch, start)
            for step in range(start, stop):
                batch = coming.result()
                if step + 1 < stop:
                    coming = pool.submit(self.batch, step + 1)
                yield batch

    def _augmented(
        self, step: int, place: int, index: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        rng = numpy_rng(self.seed, "augmentation", step, place)
        objects = self.pairs.objects
        return transform_pair(
            rng,
            self.pairs.images[index],
            self.pairs.masks[index],
            None if objects is None else objects[index],
            self.augment,
        )


def validation_batches(
    pairs: Pairs, total_classes: int, batch_size: int, timesteps: int, seed: int
) -> Iterator[Batch]:
    """All pairs once, unaugmented and conditioned, with the same timesteps and noise each time.

    The timesteps are spread evenly over the process, in a random order over the pairs.
    """
    generator = torch_generator(seed, "validation")
    total = len(pairs)
    t = ((torch.arange(total) + 0.5) / total * timesteps).long()
    t = t[torch.randperm(total, generator=generator)]
    for first in range(0, total, batch_size):
        part = slice(first, first + batch_size)
        objects = [None] * total if pairs.objects is None else pairs.objects
        images, masks, silhouettes = to_tensors(
            pairs.images[part], pairs.masks[part], objects[part]
        )
        condition = encode_condition(masks, silhouettes, total_classes)
        epsilon = torch.randn(images.shape, generator=generator)
        yield Batch(images, condition, masks > 0, t[part], epsilon)


def to_tensors(images, masks, objects) -> tuple[Tensor, Tensor, Tensor | None]:
    """Arrays of N pairs (as in `Pairs`) as float N×3×H×W in [−1, 1], long N×H×W, bool N×H×W.

    `objects` is a sequence of N silhouettes, or of N times None.
    """
    photos = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # N×3×H×W
    photos = photos.contiguous().float() / 127.5 - 1
    labels = torch.from_numpy(np.stack(masks)).long()  # N×H×W
    if any(item is None for item in objects):
        return photos, labels, None
    return photos, labels, torch.from_numpy(np.stack(objects))
