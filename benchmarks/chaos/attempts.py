"""Running a command that is sent a signal at a chosen moment."""

import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.workplace import Workplace

POLL_S = 0.005
PATIENCE_S = 60.0  # with a process that was asked to stop
LONGEST_S = 600.0


@dataclass(frozen=True)
class Blow:
    """What befalls a process."""

    number: signal.Signals
    after_s: float
    in_work: bool  # counted from the beginning of its work, else from its start


@dataclass(frozen=True)
class Attempt:
    """How it went."""

    code: int
    seconds: float  # from start to end
    work_s: float | None  # since its store was opened; None = that did not come, or it has none
    began_after_s: float | None  # when that was
    struck_s: float | None  # when the signal was sent; None = it ended before
    output: str

    @property
    def was_stopped(self) -> bool:
        """Whether the signal ended it."""
        return self.struck_s is not None and self.code != 0

    @property
    def stopping_s(self) -> float:
        """From the signal to the end."""
        return 0.0 if self.struck_s is None else self.seconds - self.struck_s


def run_attempt(command: list[str], place: Workplace, blow: Blow | None = None) -> Attempt:
    """Run a command in a process group of its own, and strike that group."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=place.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_hear_signals,
        )
        try:
            began, struck = _watch(process, place, blow, start)
        except BaseException:  # Ctrl-C does not reach another session
            os.killpg(process.pid, signal.SIGKILL)
            raise
        seconds = time.monotonic() - start
        output.seek(0)
        return Attempt(
            code=process.returncode,
            seconds=seconds,
            work_s=None if began is None else seconds - began,
            began_after_s=began,
            struck_s=struck,
            output=output.read(),
        )


def _watch(
    process: subprocess.Popen, place: Workplace, blow: Blow | None, start: float
) -> tuple[float | None, float | None]:
    """Wait for the end; returns when the work began and when the blow fell, since the start."""
    began = struck = None
    while process.poll() is None:
        now = time.monotonic() - start
        if began is None and has_opened_store(process.pid, place.store):
            began = now
        if blow is not None and struck is None:
            since = began if blow.in_work else 0.0
            if since is not None and now - since >= blow.after_s:
                os.killpg(process.pid, blow.number)
                struck = now
        if now > LONGEST_S or (struck is not None and now - struck > PATIENCE_S):
            raise TimeoutError(f"{process.args}: not ended {now:.0f} s after its start")
        time.sleep(POLL_S)
    return began, struck


def has_opened_store(process_id: int, store: Path) -> bool:
    """Whether the process has written its number beside a store's lock."""
    for path in (store / ".checkpoints").glob("*/*.pid"):
        try:
            if path.read_text() == str(process_id):
                return True
        except FileNotFoundError:
            continue
    return False


def _hear_signals() -> None:
    """A program in the background of a shell ignores Ctrl-C, and would pass that on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
