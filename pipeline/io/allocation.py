"""Keeping freed memory in the process, for loops that need the same blocks again and again.

glibc hands large freed blocks back to the system, and what lay at the top of the heap as well; the
system clears each page anew when it is touched the next time. A training step on the CPU frees and
asks for the same tens of megabytes each time: 7,600 page faults and 4 % of the processor time of
the demo's. PyTorch has no cache of its own for CPU memory as it has for a GPU's.

The price is that a process keeps the most it ever held until it ends; the peak is the same.
"""

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
KEPT_BYTES = 2**30  # blocks from this size on are handed back still


def keep_freed_memory() -> bool:
    """Ask the C library for it; returns whether it agreed. Others than glibc are left alone."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        if library.gnu_get_libc_version:  # musl has a `mallopt` that does nothing
            settings = (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)
            return all(library.mallopt(setting, KEPT_BYTES) == 1 for setting in settings)
    return False
