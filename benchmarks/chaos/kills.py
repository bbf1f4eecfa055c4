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

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
IN_WORK = 0.8  # share of the kills that wait for a stage's work to begin, where it shows
TORN = 0.5  # share of the SIGKILLs after which a file is torn, if there is one
MISSES = 4  # blows at a step that may come too late
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


@dataclass
class Story:
    """A step from its first start to its end."""

    step: Step
    kills: list[Kill] = field(default_factory=list)
    seconds: float = 0.0  # of all attempts
    work_s: float = 0.0  # of these, after the store was opened
    ends: int = 0  # how often it was brought to its end


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

    A kill that comes too late, after the end of a step, is dealt out anew: at last to steps that
    are done once more.
    """
    rng = np.random.default_rng([seed, 0])
    stories = {step.name: Story(step) for step in steps}
    dealt = deal(steps, unbroken, total, rng)
    for step in steps:
        _tell_story(place, stories[step.name], unbroken[step.name], dealt[step.name], rng)
    while (done := sum(len(story.kills) for story in stories.values())) < total:
        story = stories[steps[rng.integers(len(steps))].name]
        _tell_story(place, story, unbroken[story.step.name], min(2, total - done), rng)
    return list(stories.values())


def deal(
    steps: list[Step], unbroken: dict[str, Attempt], total: int, rng: np.random.Generator
) -> dict[str, int]:
    """How many kills each step gets: one at least, the others to those that can resume."""
    dealt = {step.name: 1 for step in steps}
    resuming = [step.name for step in steps if unbroken[step.name].began_after_s is not None]
    for place in range(total - len(steps)):
        if place % len(resuming) == 0:
            rng.shuffle(resuming)
        dealt[resuming[place % len(resuming)]] += 1
    return dealt


def _tell_story(
    place: Workplace, story: Story, unbroken: Attempt, kills: int, rng: np.random.Generator
) -> None:
    """Run a step until it has been killed so often, then to its end; a blow too late is repeated.

    A step that ends before each of several blows keeps what is left of its kills.
    """
    wanted, misses = len(story.kills) + kills, 0
    left = 1.0  # share of the work that is still to be done, as far as one can tell
    forget(place, story.step)
    while len(story.kills) < wanted and misses < MISSES:
        place.remove_outs(story.step)
        blow = draw_blow(unbroken, left, rng)
        attempt = run_attempt(story.step.command, place, blow)
        story.seconds += attempt.seconds
        story.work_s += attempt.work_s or 0.0
        if not attempt.was_stopped:
            _check(story.step, attempt)
            story.ends += 1
            misses, left = misses + 1, 1.0
            forget(place, story.step)
            continue
        kept = kept_files(place.store, story.step.stage)
        torn = ""
        if blow.number is signal.SIGKILL and kept and rng.random() < TORN:
            torn = tear(kept[rng.integers(len(kept))], rng)
        if kept and unbroken.work_s and attempt.work_s:
            left = max(0.1, left - attempt.work_s / unbroken.work_s)
        story.kills.append(
            Kill(
                stage=story.step.name,
                signal=blow.number.name,
                after_s=round(attempt.struck_s, 2),
                in_work=attempt.work_s is not None,
                exit_code=attempt.code,
                stopping_s=round(attempt.stopping_s, 2),
                files_kept=len(kept),
                torn=torn,
            )
        )
        print(f"{story.kills[-1]}", flush=True)
    attempt = _finish(place, story.step)
    story.seconds += attempt.seconds
    story.work_s += attempt.work_s or 0.0
    story.ends += 1


def forget(place: Workplace, step: Step) -> None:
    """Drop the stores of a stage, so that it has all its work before it again."""
    for path in (place.store / ".checkpoints").glob(f"{step.stage}*"):
        shutil.rmtree(path)


def draw_blow(unbroken: Attempt, left: float, rng: np.random.Generator) -> Blow:
    """A signal at a moment of a step's work, or of all the time it takes.

    Args:
        unbroken: how long these are.
        left: share of the work that an earlier attempt has not done.
        rng: decides.
    """
    number = SIGNALS[rng.integers(len(SIGNALS))]
    if unbroken.work_s is not None and rng.random() < IN_WORK:
        return Blow(number, rng.random() * left * unbroken.work_s, in_work=True)
    return Blow(number, rng.random() * unbroken.seconds, in_work=False)


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
