"""The loop around the steps of a resumable training: progress, states in time, being stopped.

A training is resumable if each step is a function of the state before it and the step's number;
then one that was killed and goes on from its last state equals an unbroken one bit for bit (on the
CPU, with the same number of threads).
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from pipeline.io.errors import StoppedError
from pipeline.io.progress import Progress, progress
from pipeline.training.divergence import DivergedError, diverged
from pipeline.training.interruption import Interruption
from pipeline.training.record import Record
from pipeline.training.state import TrainingState


def run_steps(
    take_step: Callable[[int], float | None],
    follow_up: Callable[[], None],
    state: Callable[[], TrainingState],
    record: Record,
    total_steps: int,
    path: Path,
    checkpoint_every_s: float,
    is_main: bool = True,
    any_process: Callable[[bool], bool] = bool,
    is_due: Callable[[], bool] = lambda: True,
) -> None:
    """Take the steps that `record` does not count as done yet.

    Args:
        take_step: takes the step of that number (from 0), counts it in `record` and returns the
            newest loss that it knows; raises DivergedError as `check_loss` does.
        follow_up: does all that is due after the last step (evaluation, grids). It changes nothing
            but `record` and the best weights, and is done anew if it is stopped.
        state: everything that the next step depends on.
        record: of the training; its seconds grow here.
        total_steps: of the whole training.
        path: of the state file; written when `checkpoint_every_s` have passed, after the last
            step, and when the process is asked to stop.
        checkpoint_every_s: 0 = after each step.
        is_main: of several processes one writes and shows progress.
        any_process: whether one of the processes was asked to stop, from whether this one was.
        is_due: whether `follow_up` would do anything; `state` is not asked for where it would not.

    Raises:
        UserError: the numbers are not finite any more; the last good state is kept.
        StoppedError: a process was asked to stop; its state is saved.
    """
    saved_step = record.steps_done
    if is_main:
        print(f"grids and curve appear in {path.parent}; starting at step {saved_step}", flush=True)
    saved = time.monotonic()
    shown = progress(total_steps, "training", saved_step) if is_main else nullcontext()

    def finish_step() -> None:
        """Follow up; a long evaluation does not keep a stop signal waiting."""
        if not is_due():
            record.follow_up_due = False
            return
        before = state().before_follow_up()
        try:
            with interruption.at_once() if is_main else nullcontext():
                follow_up()
                record.follow_up_due = False
        except StoppedError:
            before.write(path)
            any_process(True)
            raise _stopped(interruption, before.record.steps_done, total_steps) from None

    with Interruption() as interruption, shown as bar:
        if record.follow_up_due:
            finish_step()
        for step in range(saved_step, total_steps):
            began = time.monotonic()
            try:
                loss = take_step(step)
                finish_step()
                record.seconds += time.monotonic() - began
                _show(bar, loss)
                is_old = time.monotonic() - saved >= checkpoint_every_s
                is_last = step + 1 == total_steps
                is_asked = any_process(interruption.asked)
                if is_main and (is_old or is_last or is_asked):
                    state().write(path)
                    saved, saved_step = time.monotonic(), step + 1
            except DivergedError as error:
                raise diverged(step, error, path, saved_step) from None
            if is_asked and not is_last:
                raise _stopped(interruption, step + 1, total_steps)


def _show(bar: Progress | None, loss: float | None) -> None:
    if bar is None:
        return
    if loss is not None:
        bar.note(loss=loss)
    bar.update()


def _stopped(interruption: Interruption, steps_done: int, total_steps: int) -> StoppedError:
    kept = f"the state after step {steps_done} of {total_steps} is saved"
    return StoppedError(interruption.signal_or_term, kept)
