"""Batches as permutations, whatever step one asks for first."""

from collections import Counter

import pytest

from pipeline.training.order import Order


@pytest.mark.parametrize(("total", "batch"), [(10, 4), (3, 8), (6, 3)])
def test_every_example_once_an_epoch(total, batch):
    order = Order(total, batch, seed=0)
    seen = [index for step in range(total) for index in order.indices(step)]  # `batch` epochs
    for epoch in range(batch):
        assert sorted(seen[epoch * total : (epoch + 1) * total]) == list(range(total))
    assert Counter(map(len, map(order.indices, range(5)))) == {batch: 5}


def test_epochs_that_are_complete():
    order = Order(total=10, batch_size=4, seed=0)
    assert [order.epoch(step) for step in range(7)] == [0, 0, 0, 1, 1, 2, 2]


def test_seeds_and_epochs_differ():
    first = Order(50, 50, 0).indices(0)
    assert first == Order(50, 50, 0).indices(0)
    assert first != Order(50, 50, 0).indices(1)
    assert first != Order(50, 50, 1).indices(0)
