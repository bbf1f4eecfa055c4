"""Shards: many small files in few large ones, the tar archives that WebDataset reads.

A path may lead into a shard, `shards/synthetic-000000.tar/synthetic_000007.image.png`; whoever
reads by `read_bytes` need not know. The files lie in a shard as they are, so one is read without
the others, and the same files give the same bytes whatever version of a library writes them.
"""

import io
import tarfile
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pipeline.io.atomic import replacing
from pipeline.io.errors import UserError
from pipeline.io.failures import writing

SUFFIX = ".tar"
INDICES_KEPT = 128  # of shards last read; about 1.2 MB each for 1,000 pairs
_END = bytes(tarfile.BLOCKSIZE)
_indexing = threading.Lock()  # else each thread that decodes would list the same shard


def read_bytes(path: Path) -> bytes:
    """The content of a file, or of a file within a shard.

    Raises:
        UserError: it is missing, or its shard is missing or damaged.
        OSError: the system refuses to read it.
    """
    if path.parent.suffix != SUFFIX:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise UserError(f"{path}: not found") from None
    shard = path.parent
    try:
        stat = shard.stat()
        with _indexing:
            places = _index(shard, (stat.st_ino, stat.st_size, stat.st_mtime_ns))
        if path.name not in places:
            raise UserError(f"{path}: not found in the shard")
        offset, size = places[path.name]
        with shard.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        raise UserError(f"{shard}: not found") from None


def write_shard(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a shard, whole or not at all.

    Args:
        path: ends in `SUFFIX`.
        files: names and contents, one pair's after the other's; a name up to its first dot is the
            pair's key. Taken one at a time, so that a shard may be larger than the memory.

    Raises:
        RefusedError: the disk is full, or the system refuses otherwise.
    """
    assert path.suffix == SUFFIX, path
    with (
        writing(path),
        replacing(path) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in files:
            header = tarfile.TarInfo(name)  # of no time and no user
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))


def unpacked_name(path: str) -> str:
    """What a file of a set is called once its shard is unpacked; other files keep their path."""
    pure = PurePosixPath(path)
    return pure.name if pure.parent.suffix == SUFFIX else path


@lru_cache(INDICES_KEPT)
def _index(shard: Path, version: tuple[int, int, int]) -> dict[str, tuple[int, int]]:
    """Offset and size in bytes of each file of a shard; `version` changes when it is replaced.

    Only what `write_shard` writes: tarfile's own list takes several times as long.
    """
    places, offset = {}, 0
    with shard.open("rb", buffering=0) as file:
        while True:
            file.seek(offset)
            header = file.read(tarfile.BLOCKSIZE)
            if header == _END:
                return places
            name, size = _entry(shard, offset, header)
            offset += tarfile.BLOCKSIZE
            places[name] = (offset, size)
            offset += -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _entry(shard: Path, offset: int, header: bytes) -> tuple[str, int]:
    """Name and size in bytes of the file whose header begins at `offset`."""
    try:
        if header[257:262] != b"ustar":  # also where it ends early
            raise ValueError("no header")
        return header[:100].rstrip(b"\0").decode(), int(header[124:135], 8)
    except ValueError:
        raise UserError(
            f"{shard}: damaged at byte {offset}; run the stage that made it again"
        ) from None
