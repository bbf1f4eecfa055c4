"""Arrays that may be larger than the memory: beyond a size they lie in a file.

The system then keeps in memory what is in use and lets go of the rest, as it does with files that
are read.
"""

import os
import tempfile
from math import prod
from pathlib import Path

import numpy as np

from pipeline.io.failures import writing

IN_MEMORY_BYTES = 4 * 1024**3  # largest array that is not put in a file


def empty_array(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """An array of any content, to be filled.

    Beyond `IN_MEMORY_BYTES` it is a map of a file in `.checkpoints` that has no name and vanishes
    with the array.

    Raises:
        RefusedError: the disk has no room for the file.
    """
    total_bytes = prod(shape) * np.dtype(dtype).itemsize
    if total_bytes <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    folder = Path(os.environ.get("DVC_ROOT", ".")) / ".checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder, total_bytes), tempfile.TemporaryFile(dir=folder) as file:
        # else a disk that fills up later ends the process by a signal
        getattr(os, "posix_fallocate", _extend)(file.fileno(), 0, total_bytes)
        return np.memmap(file, dtype, "r+", shape=shape).view(np.ndarray)


def joined(arrays: list[np.ndarray]) -> np.ndarray:
    """The arrays one after the other along their first axis; a single one as it is."""
    if len(arrays) == 1:
        return arrays[0]
    first = arrays[0]
    out = empty_array((sum(map(len, arrays)), *first.shape[1:]), first.dtype)
    return np.concatenate(arrays, out=out)


def taken(array: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A copy of the rows at int K places, in their order."""
    out = empty_array((len(places), *array.shape[1:]), array.dtype)
    return np.take(array, places, axis=0, out=out, mode="clip")  # "raise" would buffer all of it


def _extend(descriptor: int, start: int, size: int) -> None:
    """For systems that cannot reserve the room of a file (macOS)."""
    os.ftruncate(descriptor, start + size)
