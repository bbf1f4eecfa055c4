"""Files of tensors that are known to be whole: what one that was killed goes on from.

A safetensors file whose header holds a SHA-256 over names, types, shapes and bytes of all tensors
and over the JSON beside them; so it is written and renamed as one, and a torn or altered one is
found when it is read (0.25 s for 400 MB). The file before it is kept, to go on from in its place.
Nothing is pickled.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.io.atomic import replacing
from pipeline.io.errors import UserError
from pipeline.io.failures import writing
from pipeline.training.divergence import DivergedError

Tensors = dict[str, Tensor]
HEADER = "sealed"
T = TypeVar("T")


class DamagedError(UserError):
    """The file is not what was written."""


def write_sealed(path: Path, tensors: Tensors, content: dict[str, Any]) -> None:
    """Replace `path`, keeping what it was as `path_before(path)`.

    Args:
        path: of the file.
        tensors: of any device.
        content: JSON-able.

    Raises:
        DivergedError: a tensor is not finite; nothing is written.
        RefusedError: the disk is full, or the system refuses otherwise.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    broken = [name for name, tensor in tensors.items() if not _is_finite(tensor)]
    if broken:
        raise DivergedError(f"{broken[0]} holds infinite numbers or NaN")
    text = json.dumps(content)
    # one entry, as safetensors writes several in random order
    header = {HEADER: json.dumps({"sha256": _digest(tensors, text), "content": text})}
    needed_bytes = sum(tensor.nbytes for tensor in tensors.values())
    with writing(path, needed_bytes), replacing(path) as temporary:
        save_file(tensors, temporary, metadata=header)
        if path.exists():
            _keep(path)


def read_sealed(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors on the CPU, and content, of a file that `write_sealed` wrote.

    One that is replaced meanwhile is read anew: safetensors opens a file twice, first its header,
    then its tensors, so it may see the header of one and the tensors of the next.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is torn or altered, or was written by something else.
    """
    while True:
        opened = _identity(path)
        try:
            return _read_once(path)
        except DamagedError:
            if _identity(path) == opened:
                raise


def _read_once(path: Path) -> tuple[Tensors, dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _digest(tensors, header["content"]) != header["sha256"]:
            raise ValueError("its SHA-256 differs from the one in its header")
        return tensors, json.loads(header["content"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{path}: damaged: {error!r}") from None


def newest_whole(path: Path, read: Callable[[Path], T], may_move: bool = True) -> T | None:
    """What `read` makes of `path`, or of the file before it if that is damaged; None = of neither.

    Args:
        path: of the file.
        read: raises DamagedError.
        may_move: put a damaged file aside and say so: of several processes one does.
    """
    for candidate in (path, path_before(path)):
        try:
            return read(candidate)
        except FileNotFoundError:
            continue
        except DamagedError as error:
            if may_move and candidate.exists():
                aside = candidate.with_name(f"damaged-{candidate.name}")
                candidate.replace(aside)
                print(f"{error}; put aside as {aside.name}, going on from an earlier state")
    return None


def path_before(path: Path) -> Path:
    """Of the file that `path` replaced."""
    return path.with_name(f"before-{path.name}")


def _keep(path: Path) -> None:
    """Give the file its second name, so that at no moment there is none of the first."""
    before = path_before(path)
    before.unlink(missing_ok=True)
    try:
        os.link(path, before)
    except OSError:  # a file system without hard links
        path.replace(before)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    # a sum takes a fifteenth of the time, but may be infinite where the numbers are not
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def _digest(tensors: Tensors, text: str) -> str:
    content = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return content.hexdigest()
