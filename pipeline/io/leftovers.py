"""Temporary files and folders that are known to be abandoned once their process is gone.

Each is locked (`flock`) by the process that writes it; the system gives the lock up when the
process ends in whatever way, and the lock goes with the file through renames. So whoever gets the
lock may remove it. File systems without such locks keep their leftovers.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

SUFFIX = ".tmp"
_PURPOSE = re.compile(r"^\..+\.(writing|old)-[^.]+$")
_swept: set[Path] = set()  # folders that this process has looked through


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """An empty locked file beside `path`; gone afterwards, unless it was renamed."""

    def make() -> Path:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=SUFFIX)
        os.close(descriptor)
        return Path(name)

    with _locked(make) as file:
        try:
            os.chmod(file, 0o666 & ~_umask())
            yield file
        finally:
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(path: Path, purpose: Literal["writing", "old"]) -> Iterator[Path]:
    """An empty locked folder beside `path`; gone afterwards, unless it was renamed."""

    def make() -> Path:
        return Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.{purpose}-"))

    with _locked(make) as folder:
        try:
            os.chmod(folder, 0o777 & ~_umask())
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def is_in_temporary_folder(path: Path) -> bool:
    """Whether a `temporary_folder` of this or another process is among the folders above."""
    return _is_temporary(path.parent)


@lru_cache(64)  # thousands of files are written to the same few folders
def _is_temporary(folder: Path) -> bool:
    return any(_PURPOSE.search(above.name) for above in (folder, *folder.parents))


def sweep_files(folder: Path) -> None:
    """Remove the files that `temporary_file` left in a folder; looks once a process."""
    if folder.absolute() in _swept:
        return
    _swept.add(folder.absolute())
    for item in folder.glob(f".*{SUFFIX}"):
        with _if_abandoned(item) as is_abandoned:
            if is_abandoned:
                item.unlink(missing_ok=True)


def sweep_folders(path: Path) -> None:
    """Remove the folders that `temporary_folder` left beside `path`.

    If a process was killed while it replaced `path`, the old one is put back.
    """
    for item in sorted(path.parent.iterdir()):
        is_old = item.name.startswith(f".{path.name}.old-")
        if not (is_old or item.name.startswith(f".{path.name}.writing-")):
            continue
        with _if_abandoned(item) as is_abandoned:
            if not is_abandoned:
                continue
            if is_old and (item / path.name).exists() and not path.exists():
                os.replace(item / path.name, path)
            shutil.rmtree(item, ignore_errors=True)


@contextlib.contextmanager
def _locked(make: Callable[[], Path]) -> Iterator[Path]:
    """What `make` makes, locked; once more if somebody swept it away before it was.

    Between making and locking it looks abandoned, to other processes as to other threads.
    """
    while True:
        item = make()
        try:
            descriptor = os.open(item, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            if _lock(descriptor) is not False and item.exists():
                yield item
                return
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _if_abandoned(item: Path) -> Iterator[bool]:
    """Whether the process that made it is gone; within, nobody else holds it."""
    try:
        descriptor = os.open(item, os.O_RDONLY)
    except OSError:  # it vanished meanwhile, or belongs to somebody else
        yield False
        return
    try:
        yield _lock(descriptor) is True
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Whether this process has the lock now; None on a file system without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
