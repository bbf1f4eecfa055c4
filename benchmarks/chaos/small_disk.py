"""Every stage with too little space, first for its store and then for its out.

A tmpfs of 64 MB holds the one or the other; a file fills it up to a random part of what the stage
writes there. The stage must end with one message and exit code 1, leave neither an out nor
temporary files, and succeed with the bytes of an unbroken run once the space is given back (a
larger tmpfs: an image model takes 72 MB).
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.chaos.attempts import Attempt, run_attempt
from benchmarks.chaos.workplace import Step, Workplace
from pipeline.io.errors import UserError

SIZE_BYTES = 64 * 2**20
LARGE_BYTES = 2**30
PAGE_BYTES = 4096  # a tmpfs has no smaller piece
CODE = ("pipeline", "stages", "params.yaml")


@dataclass(frozen=True)
class Case:
    """One stage on one full disk."""

    stage: str
    full: str  # store | out
    free_bytes: int
    needed_bytes: int  # of the out
    exit_code: int
    message: str
    is_clean: bool  # no traceback, no out, no leftovers
    seconds: float
    equal_after: bool | None  # whether it succeeded later with the right bytes; None = not asked


def run_full(first: Workplace, steps: list[Step], scratch: Path, seed: int) -> list[Case]:
    """All steps, each with the outs of the unbroken run `first` as its inputs."""
    rng = np.random.default_rng([seed, 2])
    disk = scratch / "disk"
    cases = []
    for step in steps:
        expected = first.hashes([step])
        needed = sum((first.folder / name).stat().st_size for name in expected)
        with _small_disk(disk):
            if (first.store / ".checkpoints" / step.stage).exists():
                place = _workplace(first, step, scratch / "store-full", store=disk)
                cases.append(_fail(step, "store", place, disk, int(rng.integers(needed)), needed))
            place = _workplace(first, step, disk / "work", store=scratch / "store")
            free = int(rng.random() * 0.9 * needed)
            failed = _fail(step, "out", place, disk, free, needed)
            cases.append(_succeed(step, place, disk, failed, expected))
        shutil.rmtree(scratch / "store-full", ignore_errors=True)
        shutil.rmtree(scratch / "store", ignore_errors=True)
        print(f"{cases[-1]}", flush=True)
    return cases


@contextlib.contextmanager
def _small_disk(path: Path) -> Iterator[None]:
    """A tmpfs there, which only root can make.

    Raises:
        UserError: no permission.
    """
    path.mkdir(exist_ok=True)
    _mount(path, "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(path: Path, *options: str) -> None:
    command = ["mount", *options, str(path)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        raise UserError("--disk: mount refused; run as root, or with `unshare --map-root-user -m`")


def _workplace(first: Workplace, step: Step, folder: Path, store: Path) -> Workplace:
    """The program, and links to what the step reads: all outs but its own."""
    folder.mkdir()
    for name in CODE:
        (folder / name).symlink_to(first.folder / name)
    own = {str(Path(out)) for out in step.outs}
    _link_others(first.folder, folder, Path("data"), own)
    store.mkdir(exist_ok=True)
    return Workplace(folder, store)


def _link_others(source: Path, target: Path, relative: Path, own: set[str]) -> None:
    """Link what lies in `relative` except the step's outs; folders above those are made."""
    (target / relative).mkdir(parents=True, exist_ok=True)
    for item in sorted((source / relative).iterdir()):
        name = relative / item.name
        if str(name) in own or (target / name).exists():
            continue
        if any(out.startswith(f"{name}/") for out in own):
            _link_others(source, target, name, own)
        else:
            (target / name).symlink_to(item)


def _fail(
    step: Step, full: str, place: Workplace, disk: Path, free_bytes: int, needed_bytes: int
) -> Case:
    _fill(disk, free_bytes)
    free_bytes = shutil.disk_usage(disk).free
    attempt = run_attempt(step.command, place)
    message = _message(attempt)
    left = [out for out in step.outs if (place.folder / out).exists()] + place.leftovers()
    left += [str(path) for path in place.store.rglob(".*.tmp")]
    return Case(
        stage=step.name,
        full=full,
        free_bytes=free_bytes,
        needed_bytes=needed_bytes,
        exit_code=attempt.code,
        message=message.replace(str(disk), "<disk>"),
        is_clean="the disk is full" in message and "Traceback" not in attempt.output and not left,
        seconds=round(attempt.seconds, 1),
        equal_after=None,
    )


def _succeed(
    step: Step, place: Workplace, disk: Path, failed: Case, expected: dict[str, str]
) -> Case:
    """With the space given back, which may be more than 64 MB for the outs of this pipeline."""
    (disk / "filler").unlink()
    _mount(disk, "-o", f"remount,size={LARGE_BYTES}")
    attempt = run_attempt(step.command, place)
    equal = attempt.code == 0 and place.hashes([step]) == expected
    return Case(**{**vars(failed), "equal_after": equal})


def _fill(disk: Path, free_bytes: int) -> None:
    with (disk / "filler").open("wb") as file:
        free_now = shutil.disk_usage(disk).free
        os.posix_fallocate(file.fileno(), 0, max(PAGE_BYTES, free_now - free_bytes))


def _message(attempt: Attempt) -> str:
    """The line that tells of the error; empty if there is not just one."""
    lines = [line for line in attempt.output.splitlines() if line.startswith("error: ")]
    return lines[0] if len(lines) == 1 else ""
