"""A training whose numbers became infinite or NaN: noticed at once, and what is left of it."""

import math
from collections.abc import Mapping
from pathlib import Path

from pipeline.io.errors import UserError


class DivergedError(Exception):
    """Numbers of a training became infinite or NaN, in a step (from 0) where that is known."""

    def __init__(self, told: str, step: int | None = None) -> None:
        super().__init__(told)
        self.step = step


def check_loss(
    loss: float, parts: Mapping[str, float] | None = None, step: int | None = None
) -> None:
    """Refuse to go on from a loss that is no finite number.

    Args:
        loss: of a step.
        parts: the terms it consists of, for the message.
        step: which, where the loss is read later than that.

    Raises:
        DivergedError: it is infinite or NaN.
    """
    if not math.isfinite(loss):
        told = "".join(f", {name} {figure:.4g}" for name, figure in (parts or {}).items())
        raise DivergedError(f"the loss is {loss}{told}", step)


def diverged(step: int, error: DivergedError, path: Path, saved_step: int) -> UserError:
    """What to tell a user whose training diverged.

    Args:
        step: in which it was noticed, from 0.
        error: what was noticed; it may know that it happened in an earlier step.
        path: of the state file.
        saved_step: how many steps the last good state has seen.
    """
    since = step if error.step is None else error.step
    kept = f"the state after step {saved_step} is kept in {path}; " if saved_step else ""
    return UserError(
        f"training: since step {since + 1}, {error}, expected finite numbers; {kept}lower "
        "training.learning_rate, set training.clip_norm or choose training.precision fp32 (the "
        "same settings would end here again, others begin anew)"
    )
