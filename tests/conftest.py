"""For running on several cores: one thread a process, and the longest file first."""

import os
import signal

import pytest

# two processes with two threads each on two cores would wait for each other most of the time
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell has its background jobs ignore Ctrl-C, and all that they start: tests of it would wait.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pipeline as a whole takes as long as all the rest: start with it."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
