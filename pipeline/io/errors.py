"""How a stage ends: on an error that a user can mend, by one message and exit code 1, without a
traceback; when asked to stop, by one message and 128 + the signal's number, as shells count.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from pipeline.io import lifetime
from pipeline.io.failures import explain

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class UserError(Exception):
    """Bad input or parameters. The message names file and field, got, expected and the remedy."""


class StoppedError(KeyboardInterrupt):
    """The process was asked to stop, by Ctrl-C or by the system; libraries pass it on as Ctrl-C."""

    def __init__(self, number: int, kept: str = "what was finished is kept") -> None:
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name}; {kept}, run the same command again to go on")
        self.number, self.kept = number, kept

    def __reduce__(self) -> tuple:
        return type(self), (self.number, self.kept)  # for process pools


def run(main: Callable[[], None], lower: str = "") -> None:
    """Run a stage's `main`, and end the process: a stage's own always, another if `main` fails.

    A full disk, a missing permission and too little memory are errors that a user can mend, too.

    Args:
        main: of the stage.
        lower: names of parameters that its memory grows with, told if there is too little of it.
    """
    lifetime.imported()
    try:
        with _stoppable():
            main()
    except UserError as error:
        _end(f"error: {error}", 1)
    except StoppedError as error:
        _end(str(error), 128 + error.number)
    except Exception as error:
        message = explain(error, lower)
        if message is None:
            raise
        _end(f"error: {message}", 1)
    lifetime.ended()


def stop_imports() -> None:
    """From now on until `run`, a stop signal ends the process by its message.

    A program of ours holds nothing yet while it imports libraries for seconds. An error raised in
    the middle of that could be caught by one of them, or be told as theirs.
    """
    take_over(STOP_SIGNALS, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(sys.stderr.fileno(), f"{StoppedError(number)}\n".encode())
    os._exit(128 + number)


def _end(message: str, code: int) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        print(message, file=sys.stderr, flush=True)
    lifetime.end(code)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Stop signals raise `StoppedError`, so that locks and temporary folders are given up."""
    before = take_over(STOP_SIGNALS, _stop)
    try:
        yield
    finally:
        give_back(before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError(number)


def take_over(numbers: Sequence[int], handler: Callable) -> dict[int, object]:
    """Make `handler` that of the signals; returns the handlers before. Ignored ones stay so."""
    if threading.current_thread() is not threading.main_thread():  # signals reach no other
        return {}
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}


def give_back(handlers: dict[int, object]) -> None:
    """Undo `take_over`."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
