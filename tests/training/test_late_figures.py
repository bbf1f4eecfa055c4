import pytest
import torch

from pipeline.training.divergence import DivergedError
from pipeline.training.late_figures import LateFigures


def test_figures_are_handed_on_in_order_and_as_late_as_told():
    seen = []
    late = LateFigures(seen.append, steps_late=2)
    for step in range(4):
        late.put(step, torch.tensor([step, 0.5]))
        assert len(seen) == max(0, step - 1)
    assert late.newest == 1
    late.settle()
    assert seen == [[0, 0.5], [1, 0.5], [2, 0.5], [3, 0.5]]
    late.settle()  # nothing is handed on twice
    assert len(seen) == 4


def test_without_delay_the_newest_is_that_of_the_step():
    late = LateFigures(lambda figures: None, steps_late=0)
    assert late.newest is None
    late.put(0, torch.tensor([3.0]))
    assert late.newest == 3


def test_an_infinite_loss_tells_its_own_step():
    seen = []
    late = LateFigures(seen.append, steps_late=1)
    late.put(6, torch.tensor([float("inf")]))  # not looked at yet
    with pytest.raises(DivergedError, match="the loss is inf") as caught:
        late.put(7, torch.tensor([1.0]))
    assert caught.value.step == 6
    assert seen == []
