"""`dvc repro` killed with the stage that it runs, and killed alone, so that the stage lives on."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.chaos.attempts import Attempt, Blow, run_attempt
from benchmarks.chaos.kills import SIGNALS
from benchmarks.chaos.workplace import Step, Workplace
from pipeline.io.errors import UserError

STAGES = ("train-image-dm", "train-superres", "train-autoencoder", "train-mask-dm")  # in turn
STARTING_S = 12.0  # DVC's own start with that of the stage, about
WORKING_S = 6.0


@dataclass(frozen=True)
class DvcKill:
    """One of them."""

    stage: str
    what: str
    after_s: float
    exit_code: int
    then: str  # what the next `dvc repro` said or did


def run_killed(place: Workplace, steps: list[Step], total: int, seed: int) -> list[DvcKill]:
    """Kill `dvc repro` of one stage after another; each is then brought to its end.

    Args:
        place: where all steps have been run.
        steps: of the pipeline.
        total: number of kills; the last leaves the stage's process alive.
        seed: decides signals and moments.
    """
    rng = np.random.default_rng([seed, 1])
    kills = []
    for number in range(total):
        [step] = [s for s in steps if s.name == STAGES[number % len(STAGES)]]
        if number == total - 1:
            kills.append(_orphaned(place, step))
        else:
            kills.append(_killed(place, step, rng))
        print(f"{kills[-1]}", flush=True)
    return kills


def _repro(step: Step) -> list[str]:
    command = ["repro", "--force", "--single-item", "--no-run-cache", step.name]
    return [sys.executable, "-m", "dvc", *command]


def _killed(place: Workplace, step: Step, rng: np.random.Generator) -> DvcKill:
    number = SIGNALS[rng.integers(len(SIGNALS))]
    blow = Blow(number, STARTING_S + rng.random() * WORKING_S, in_work=False)
    struck = run_attempt(_repro(step), place, blow)
    again = _finished(place, step)
    told = (
        "was done before the kill" if not struck.was_stopped else f"done in {again.seconds:.0f} s"
    )
    return DvcKill(
        step.name, f"dvc and stage, {number.name}", round(blow.after_s, 1), struck.code, told
    )


def _orphaned(place: Workplace, step: Step) -> DvcKill:
    """The stage's process goes on after DVC was killed; a second one must not run beside it."""
    process = subprocess.Popen(
        _repro(step), cwd=place.folder, env=place.environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    began = time.monotonic()
    while not (owner := _working(place, step)):
        if process.poll() is not None or time.monotonic() - began > 120:
            raise UserError(f"dvc repro {step.name}: did not come to its work")
        time.sleep(0.01)
    after_s = time.monotonic() - began
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.kill(owner, signal.SIGSTOP)  # else it might end before the second one has started
    second = run_attempt(step.command, place)
    os.kill(owner, signal.SIGCONT)
    refused = f"already running as process {owner}" in second.output
    if not refused or second.code != 1:
        raise UserError(f"{step.name}: ran beside process {owner}:\n{second.output[-2000:]}")
    while _working(place, step):
        time.sleep(0.1)
    _finished(place, step)
    told = "a second process was refused, naming the first"
    return DvcKill(step.name, "dvc alone, SIGKILL", round(after_s, 1), process.returncode, told)


def _working(place: Workplace, step: Step) -> int | None:
    """The live process that has the step's store open."""
    for path in (place.store / ".checkpoints" / step.stage).glob("*.pid"):
        owner = int(path.read_text() or 0)
        if owner and _is_alive(owner):
            return owner
    return None


def _is_alive(process_id: int) -> bool:
    listing = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True, check=False
    )
    state = listing.stdout.strip()
    return bool(state) and not state.startswith("Z")


def _finished(place: Workplace, step: Step) -> Attempt:
    attempt = run_attempt(_repro(step), place)
    if attempt.code != 0:
        raise UserError(f"dvc repro {step.name}: failed by itself:\n{attempt.output[-3000:]}")
    return attempt
