"""Losses read from a GPU a step late, so that the processor never waits for the step at hand.

Reading a number of a GPU waits until it has computed it, and until then nothing new is queued: read
at each step, the GPU idles between any two. Here the copy of a step's losses is queued with the
step and looked at when the next one is queued. The check for infinite numbers comes late by as
much; that is harmless, since all that is written down (curve, states, best weights, grids) waits
for `settle`.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.training.divergence import check_loss


class _Copy(NamedTuple):
    """A step's figures on their way to the processor."""

    step: int
    names: Sequence[str]  # of the figures after the loss
    figures: Tensor  # of the CPU, complete after `arrived`
    arrived: torch.cuda.Event | None


class LateFigures:
    """Takes the figures of steps as tensors, and hands them on in order as numbers."""

    def __init__(self, hand_on: Callable[[list[float]], None], steps_late: int) -> None:
        """Prepare.

        Args:
            hand_on: what is done with the figures of a step, the loss first.
            steps_late: how many steps may be unread after `put`; 0 on the CPU, where they are
                there at once.
        """
        self.steps_late = steps_late
        self.newest: float | None = None  # loss that was read last
        self._hand_on = hand_on
        self._waiting: deque[_Copy] = deque()

    def put(self, step: int, figures: Tensor, names: Sequence[str] = ()) -> None:
        """Take the figures of a step and read those that are due.

        Args:
            step: its number, from 0.
            figures: the loss, then the terms it consists of or whatever else is noted.
            names: of the latter, for the message.

        Raises:
            DivergedError: the loss of a step is infinite or NaN; it tells which.
        """
        self._waiting.append(_copy(step, names, figures.detach()))
        self._read(self.steps_late)

    def settle(self) -> None:
        """Read all of them, before anything is written down; raises as `put`."""
        self._read(0)

    def _read(self, total_left: int) -> None:
        while len(self._waiting) > total_left:
            copy = self._waiting.popleft()
            if copy.arrived is not None:
                copy.arrived.synchronize()
            figures = copy.figures.tolist()
            check_loss(figures[0], dict(zip(copy.names, figures[1:], strict=False)), copy.step)
            self.newest = figures[0]
            self._hand_on(figures)


def _copy(step: int, names: Sequence[str], figures: Tensor) -> _Copy:
    if figures.device.type != "cuda":
        return _Copy(step, names, figures, None)
    # only a copy into pinned memory does not wait for the GPU
    pinned = torch.empty(figures.shape, dtype=figures.dtype, pin_memory=True)
    pinned.copy_(figures, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()
    return _Copy(step, names, pinned, arrived)
