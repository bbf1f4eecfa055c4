"""Every stage killed at random moments until it is done; the outs must be those of unbroken runs.

Some kills stand for a power loss: a finished file of the store is torn off at a random byte.
"""

import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.chaos.attempts import Attempt, Blow, run_attempt
from benchmarks.chaos.workplace import Step, Workplace
from pipeline.io.errors import UserError

REQUESTS = (signal.SIGTERM, signal.SIGINT)  # to stop; nobody asks with SIGKILL
SIGNALS = (signal.SIGKILL, *REQUESTS)
IN_WORK = 0.8  # share of the kills that wait for a stage's work to begin, where it shows
TORN = 0.5  # share of the SIGKILLs after which a file is torn, if there is one
KEPT_FILES = ("*.safetensors", "images/*.png", "masks/*.png", "objects/*.png", "facts/*.json")


@dataclass(frozen=True)
class Kill:
    """One of them, for the table."""

    stage: str
    signal: str
    after_s: float  # since the start
    in_work: bool  # after the store was opened
    exit_code: int
    stopping_s: float
    files_kept: int  # checkpoints and files of samples in the store
    torn: str  # which of them was torn
    traceback: bool  # whether Python told where it was, which helps no user


@dataclass
class Story:
    """A step from its first start to its end."""

    step: Step
    kills: list[Kill] = field(default_factory=list)
    seconds: float = 0.0  # of all attempts
    work_s: float = 0.0  # of these, after the store was opened
    ends: int = 0  # how often it came to its end

    def run(self, place: Workplace, blow: Blow | None = None) -> Attempt:
        """Run the step, and count what that took."""
        attempt = run_attempt(self.step.command, place, blow)
        self.seconds += attempt.seconds
        self.work_s += attempt.work_s or 0.0
        self.ends += not attempt.was_stopped
        return attempt


def run_unbroken(place: Workplace, steps: list[Step]) -> dict[str, Attempt]:
    """Run all steps and return how each went.

    Raises:
        UserError: one failed by itself.
    """
    attempts = {}
    for step in steps:
        attempts[step.name] = _finish(place, step)
        print(f"unbroken {step.name}: {attempts[step.name].seconds:.1f} s", flush=True)
    return attempts


def run_killed(
    place: Workplace, steps: list[Step], unbroken: dict[str, Attempt], total: int, seed: int
) -> list[Story]:
    """Run all steps, with `total` kills on the whole; each step is brought to its end.

    A blow that comes too late, after the end of a step, is repeated earlier.
    """
    rng = np.random.default_rng([seed, 0])
    dealt = deal(steps, unbroken, total, rng)
    return [_tell_story(place, s, unbroken[s.name], dealt[s.name], rng) for s in steps]


def deal(
    steps: list[Step], unbroken: dict[str, Attempt], total: int, rng: np.random.Generator
) -> dict[str, list[signal.Signals]]:
    """The signals that each step gets: one at least, the others to those that can resume.

    Of these the longest come first in getting a second one; what is left falls by chance, the
    likelier the longer their work takes.
    """
    work_s = {step.name: unbroken[step.name].work_s for step in steps}
    resuming = sorted((n for n in work_s if work_s[n] is not None), key=lambda n: -work_s[n])
    counts = {step.name: 1 for step in steps}
    for name in resuming[: total - len(steps)]:
        counts[name] += 1
    shares = np.array([work_s[name] for name in resuming]) / sum(work_s[n] for n in resuming)
    others = rng.multinomial(total - sum(counts.values()), shares)
    for name, more in zip(resuming, others.tolist(), strict=True):
        counts[name] += more
    return {name: draw_signals(count, rng) for name, count in counts.items()}


def draw_signals(count: int, rng: np.random.Generator) -> list[signal.Signals]:
    """So many signals, of two one kills and the other asks."""
    kills_first = rng.random() < 0.5
    return [
        signal.SIGKILL if (place % 2 == 0) == kills_first else REQUESTS[rng.integers(len(REQUESTS))]
        for place in range(count)
    ]


def _tell_story(
    place: Workplace,
    step: Step,
    unbroken: Attempt,
    signals: list[signal.Signals],
    rng: np.random.Generator,
) -> Story:
    """Strike a step with one signal after the other, then run it to its end.

    If it ends before a blow, it begins anew and is struck in the first half of the time that the
    blow was drawn from, then in the first quarter, until it is hit.
    """
    story, misses = Story(step), 0
    left = 1.0  # share of the work that is still to be done, as far as one can tell
    forget(place, step)
    while len(story.kills) < len(signals):
        place.remove_outs(step)
        number = signals[len(story.kills)]
        blow = draw_blow(number, unbroken, left, 0.5**misses, rng)
        attempt = story.run(place, blow)
        if not attempt.was_stopped:
            _check(step, attempt)
            misses, left = misses + 1, 1.0
            forget(place, step)
            continue
        kept = kept_files(place.store, step.stage)
        torn = ""
        if number is signal.SIGKILL and kept and rng.random() < TORN:
            torn = tear(kept[rng.integers(len(kept))], rng)
        if kept and unbroken.work_s and attempt.work_s:
            left = max(0.1, left - attempt.work_s / unbroken.work_s)
        misses = 0
        story.kills.append(
            Kill(
                stage=step.name,
                signal=number.name,
                after_s=round(attempt.struck_s, 2),
                in_work=attempt.work_s is not None,
                exit_code=attempt.code,
                stopping_s=round(attempt.stopping_s, 2),
                files_kept=len(kept),
                torn=torn,
                traceback="Traceback" in attempt.output,
            )
        )
        print(f"{story.kills[-1]}", flush=True)
    place.remove_outs(step)
    _check(step, story.run(place))
    return story


def forget(place: Workplace, step: Step) -> None:
    """Drop the stores of a stage, so that it has all its work before it again."""
    for path in (place.store / ".checkpoints").glob(f"{step.stage}*"):
        shutil.rmtree(path)


def draw_blow(
    number: signal.Signals, unbroken: Attempt, left: float, early: float, rng: np.random.Generator
) -> Blow:
    """A signal at a moment of a step's work, or of all the time it takes.

    Args:
        number: the signal.
        unbroken: how long these are.
        left: share of the work that an earlier attempt has not done.
        early: share of the moments, from the first, that are drawn from.
        rng: decides.
    """
    if unbroken.work_s is not None and rng.random() < IN_WORK:
        return Blow(number, rng.random() * early * left * unbroken.work_s, in_work=True)
    return Blow(number, rng.random() * early * unbroken.seconds, in_work=False)


def kept_files(store: Path, stage: str) -> list[Path]:
    """Checkpoints and files of samples in the stores of a stage."""
    stores = store / ".checkpoints"  # `sample` has two
    found = [path for pattern in KEPT_FILES for path in stores.glob(f"{stage}*/*/{pattern}")]
    return sorted(path for path in found if not path.name.startswith("damaged-"))


def tear(path: Path, rng: np.random.Generator) -> str:
    """Cut a file off at a random byte; returns what was done."""
    size = path.stat().st_size
    left = int(rng.integers(size))
    with path.open("r+b") as file:
        file.truncate(left)
    return f"{path.name} {left}/{size}"


def _finish(place: Workplace, step: Step) -> Attempt:
    place.remove_outs(step)
    attempt = run_attempt(step.command, place)
    _check(step, attempt)
    return attempt


def _check(step: Step, attempt: Attempt) -> None:
    if attempt.code != 0:
        raise UserError(f"{step.name}: failed by itself:\n{attempt.output[-3000:]}")
