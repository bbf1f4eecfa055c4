"""The order of training pairs."""

import numpy as np
import pytest

from pipeline.io.errors import UserError
from pipeline.segmentation.batches import batch_positions, steps_per_epoch


@pytest.mark.parametrize(
    ("total", "batch_size", "steps"), [(16, 8, 2), (17, 8, 2), (18, 8, 3), (5, 8, 1), (2, 8, 1)]
)
def test_a_last_batch_of_one_is_dropped(total, batch_size, steps):
    assert steps_per_epoch(total, batch_size) == steps
    sizes = [len(batch_positions(total, batch_size, 0, step)) for step in range(steps)]
    assert min(sizes) > 1
    assert sum(sizes) == total - (total % batch_size == 1)


def test_each_epoch_shows_each_pair_once_in_a_new_order():
    epochs = [
        np.concatenate([batch_positions(18, 8, seed=0, step=3 * epoch + step) for step in range(3)])
        for epoch in range(2)
    ]
    assert [sorted(epoch) for epoch in epochs] == [list(range(18))] * 2
    assert epochs[0].tolist() != epochs[1].tolist()
    assert epochs[0].tolist() != batch_positions(18, 18, seed=1, step=0).tolist()


def test_one_pair_is_not_enough():
    with pytest.raises(UserError, match="got 1 training pairs, expected at least 2"):
        steps_per_epoch(1, 8)
