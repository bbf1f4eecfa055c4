"""Freed memory stays with the process; asked in one of its own, as the setting cannot be undone."""

import platform
import subprocess
import sys

import pytest

from pipeline.io import allocation

PROGRAM = """
import mmap, resource, sys
import numpy as np
from pipeline.io.allocation import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def touch():
    for _ in range(3):
        np.empty(64 * 2**20, dtype=np.uint8).fill(1)

touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_memory_that_was_freed_is_not_faulted_in_again():
    assert faults("keep") < 50 < faults("leave")


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: object())
    assert not allocation.keep_freed_memory()
