"""What the system refuses, in words: a full disk, no permission, too little memory.

Libraries report the same refusal in their own ways (`OSError`, the text of a `SafetensorError`,
PyTorch's `OutOfMemoryError`), which are told apart here by what they say, so that this module
imports none of them.
"""

import contextlib
import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

REFUSALS = {
    errno.ENOSPC: ("the disk is full", "free space there and run again"),
    errno.EDQUOT: ("the disk quota is used up", "free space there and run again"),
    errno.EFBIG: ("the file would be larger than allowed", "raise the limit (ulimit -f)"),
    errno.EACCES: ("no permission", "give this user access (ls -ld shows who has it)"),
    errno.EPERM: ("not permitted", "give this user access (ls -ld shows who has it)"),
    errno.EROFS: ("the file system is read-only", "mount it writable, or work in another folder"),
    errno.EMFILE: ("too many open files in this process", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("too many open files on this machine", "end other programs"),
    errno.EIO: ("the disk failed to read or write", "check it (dmesg) before running again"),
    errno.EPIPE: ("what reads it has ended", "run again and let it read to the end"),
    errno.ESTALE: ("the network drive has gone", "mount it again and run again"),
}
FULL = {errno.ENOSPC, errno.EDQUOT}
NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|unable to allocate"
    r"|CUDNN_STATUS_ALLOC_FAILED|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
RUST_CODE = re.compile(r"\(os error (\d+)\)")  # as safetensors names it


class RefusedError(Exception):
    """The system refused. No `UserError`: where those of many inputs are collected, it is none."""


@contextlib.contextmanager
def writing(
    path: Path, needed_bytes: int | None = None, folder: Path | None = None
) -> Iterator[None]:
    """Name `path`, and what it needs, if the system refuses to write it.

    Args:
        path: as the user knows it.
        needed_bytes: its size, if known.
        folder: in which it is being made, and which vanishes on an error; needed is more than what
            fitted in.

    Raises:
        RefusedError: the system refused; the message tells how much space is needed and free.
    """
    try:
        yield
    except Exception as error:
        code = _code(error)
        if code not in REFUSALS or code == errno.EPIPE or _is_of_another(error, folder):
            raise
        held = 0 if folder is None else _held_bytes(folder)
        raise RefusedError(_refusal(code, path, needed_bytes, held)) from error


def explain(error: Exception, lower: str = "") -> str | None:
    """What happened and what to do about it; None for an error that no user can mend.

    Args:
        error: that ended a stage.
        lower: names of the parameters that its memory grows with.
    """
    if isinstance(error, RefusedError):
        return str(error)
    if _lacks_memory(error):
        told = str(error).strip().splitlines() or [type(error).__name__]
        remedy = f"lower {lower}, or " if lower else ""
        return f"too little memory ({told[0][:200]}); {remedy}end other programs and run again"
    code = _code(error)
    if code not in REFUSALS:
        return None
    name = getattr(error, "filename", None)
    return _refusal(code, Path(name) if isinstance(name, str) else None)


def _is_of_another(error: Exception, folder: Path | None) -> bool:
    """Whether the error names a file that is not being made in the folder: one that is read.

    Reading fills no disk, but the error of a copy names the file that it was made of.
    """
    if _code(error) in FULL:
        return False
    name = getattr(error, "filename", None)
    return folder is not None and isinstance(name, str) and not Path(name).is_relative_to(folder)


def _refusal(
    code: int, path: Path | None, needed_bytes: int | None = None, held_bytes: int = 0
) -> str:
    happened, remedy = REFUSALS[code]
    figures = []
    if code in FULL and path is not None:
        if needed_bytes is not None:
            figures.append(f"{_size(needed_bytes)} needed")
        elif held_bytes:
            figures.append(f"more than {_size(held_bytes)} needed")
        free = _free_bytes(path)
        if free is not None:
            figures.append(f"{_size(free + held_bytes)} free")
    noted = f" ({', '.join(figures)})" if figures else ""
    return f"{path or 'what is printed, or a file without name'}: {happened}{noted}; {remedy}"


def _code(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = RUST_CODE.search(str(error))
    return int(found[1]) if found else None


def _lacks_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or _code(error) == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None


def _free_bytes(path: Path) -> int | None:
    for folder in (path, *path.parents):
        if folder.is_dir():
            return shutil.disk_usage(folder).free
    return None


def _held_bytes(folder: Path) -> int:
    """What the files in a folder take of the disk, a sparse one no more than was written."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another thread's temporary file
            status = path.lstat()
            total += getattr(status, "st_blocks", -(-status.st_size // 512)) * 512
    return total


def _size(total_bytes: int) -> str:
    return f"{total_bytes / 1e6:,.1f} MB" if total_bytes >= 1e6 else f"{total_bytes / 1e3:.1f} kB"
