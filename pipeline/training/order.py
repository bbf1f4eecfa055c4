"""Which examples the batch of training step s holds: a function of the seed and s.

Examples come in the order of a permutation an epoch; batches run across the epochs' ends, hence no
example is left out, no batch is short, and a set may be smaller than a batch.
"""

from dataclasses import dataclass

from pipeline.io.seeding import numpy_rng


@dataclass(frozen=True)
class Order:
    """The order of `total` examples in batches of `batch_size`."""

    total: int
    batch_size: int
    seed: int

    def epoch(self, step: int) -> int:
        """Passes over the data that were complete before `step`."""
        return step * self.batch_size // self.total

    def indices(self, step: int) -> list[int]:
        """The examples of the batch of `step`."""
        first = step * self.batch_size
        positions = [divmod(first + i, self.total) for i in range(self.batch_size)]
        orders = {
            epoch: numpy_rng(self.seed, "order", epoch).permutation(self.total)
            for epoch in {epoch for epoch, _ in positions}
        }
        return [int(orders[epoch][place]) for epoch, place in positions]
