"""What a stage's process need not do: collect garbage while it imports, and tidy up at its end.

A stage that uses PyTorch makes a million objects while it imports, nearly all of which stay to the
end. Looking through them again and again takes a tenth of the start; taking them apart one by
one when the process ends takes a second, for memory that the system takes back anyway. Seconds:
`benchmarks/start_up.py`.
"""

import atexit
import contextlib
import gc
import os
import sys
import threading
from typing import NoReturn

UNTOLD = 120  # exit code of Python, too, where what was printed could not be written
_leaves_at_once = False


def begin() -> None:
    """The process is a stage's alone: no garbage is collected until `imported`."""
    global _leaves_at_once
    _leaves_at_once = True
    gc.disable()


def imported() -> None:
    """The work begins: collect garbage, but never again among what was imported."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def ended() -> None:
    """The work is done: end the process if it is a stage's alone."""
    if _leaves_at_once:
        end(0)


def end(code: int) -> NoReturn:
    """End the process with an exit code; at once if it is a stage's alone.

    Threads are waited for and functions registered with `atexit` run either way.
    """
    if not _leaves_at_once:
        sys.exit(code)
    threading._shutdown()  # what the interpreter does before it takes itself apart
    atexit._run_exitfuncs()
    os._exit(code if _flush() else code or UNTOLD)


def _flush() -> bool:
    """Whether all that was printed has arrived; what was closed from the start expects nothing."""
    arrived = True
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            arrived = False
            with contextlib.suppress(OSError):
                os.write(2, f"error: {stream.name}: {error}\n".encode())
    return arrived
