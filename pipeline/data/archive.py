"""Unpacking a COCO data set from a zip archive that is not trusted.

Every entry's name and kind is checked before anything is written, sizes are bounded both as the
archive declares them and as they really come out.
"""

import contextlib
import json
import lzma
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from pydantic import Field

from pipeline.io.errors import UserError
from pipeline.io.params import Settings

ANNOTATIONS_FILE = "instances_default.json"
ANNOTATIONS = f"annotations/{ANNOTATIONS_FILE}"
CHUNK_BYTES = 1 << 20
LONGEST_NAME_BYTES = 255  # of common file systems
# What zipfile and the decompressors raise at damaged content.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError),
    *(OSError, ValueError, RuntimeError),
)
# Small files may well compress beyond the ratio limit without doing harm.
RATIO_MATTERS_FROM_BYTES = 1 << 20


class Targets(NamedTuple):
    """Where the two folders of the archive go."""

    images: Path
    annotations: Path


class UnpackSettings(Settings):
    """The part of the block `lemons` that bounds what the archive may unpack to."""

    total_bytes: int = Field(ge=1)
    file_bytes: int = Field(ge=1)
    ratio: float = Field(gt=1)
    files: int = Field(ge=1)


def unpack_coco(archive: Path, images: Path, annotations: Path, limits: UnpackSettings) -> int:
    """Unpack the archive's `images/` and `annotations/`, wherever they lie, into these two folders.

    If the archive holds no annotations but one other zip, that is unpacked instead.

    Returns:
        The number of photos unpacked.

    Raises:
        UserError: no zip, damaged, holds links or paths that lead elsewhere, exceeds a limit, or
            does not hold exactly one data set.
    """
    with _opened(archive, str(archive)) as zipped:
        return _unpack(zipped, archive, Targets(images, annotations), limits)


@contextlib.contextmanager
def _readable(what: str) -> Iterator[None]:
    """Name what cannot be read; nothing may be written in the block, as its errors look alike."""
    try:
        yield
    except _DAMAGED as error:
        raise UserError(
            f"{what}: cannot be unpacked: {error}; delete the archive and fetch it again"
        ) from None


@contextlib.contextmanager
def _opened(archive: Path, what: str) -> Iterator[zipfile.ZipFile]:
    with _readable(what), archive.open("rb") as file:
        begin = file.read(60)
    with _readable(f"{what}, which begins with {begin!r}"):
        zipped = zipfile.ZipFile(archive)
    with zipped:
        yield zipped


def _unpack(
    zipped: zipfile.ZipFile, archive: Path, targets: Targets, limits: UnpackSettings
) -> int:
    entries = _checked_entries(zipped, archive, limits)
    roots = [name.removesuffix(ANNOTATIONS) for name in entries if _is_annotations(name)]
    if not roots:
        return _unpack_inner(zipped, entries, archive, targets, limits)
    if len(roots) > 1:
        raise UserError(
            f"{archive}: holds {len(roots)} files {ANNOTATIONS}, expected one: "
            + ", ".join(root + ANNOTATIONS for root in sorted(roots)[:5])
        )
    left, photos = limits.total_bytes, 0
    for name, entry in entries.items():
        for part, folder in targets._asdict().items():
            if name.startswith(f"{roots[0]}{part}/"):
                path = folder / name.removeprefix(f"{roots[0]}{part}/")
                left -= _write_entry(zipped, entry, path, min(left, limits.file_bytes), archive)
                photos += part == "images"
    _compare_with_annotations(targets, archive)
    return photos


def _checked_entries(
    zipped: zipfile.ZipFile, archive: Path, limits: UnpackSettings
) -> dict[str, zipfile.ZipInfo]:
    """The archive's files by their path; refuses the whole archive for one bad entry."""
    infos = zipped.infolist()
    if len(infos) > limits.files:
        raise UserError(
            f"{archive}: {len(infos)} entries, lemons.unpack.files allows {limits.files}"
        )
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in infos:
        _check_entry(entry, archive, limits)
        if not entry.is_dir():
            if entry.filename in entries:
                raise UserError(f"{archive}: holds {entry.filename!r} twice; refused")
            entries[entry.filename] = entry
    folders = {str(above) for name in entries for above in PurePosixPath(name).parents}
    if both := sorted(folders & set(entries)):
        raise UserError(f"{archive}: {both[0]!r} is a file and a folder at once; refused")
    total = sum(entry.file_size for entry in infos)
    if total > limits.total_bytes:
        raise UserError(
            f"{archive}: unpacks to {total} bytes, lemons.unpack.total_bytes allows "
            f"{limits.total_bytes}"
        )
    return entries


def _check_entry(entry: zipfile.ZipInfo, archive: Path, limits: UnpackSettings) -> None:
    # orig_filename: zipfile cuts a name at a null byte and turns separators for the platform.
    name = entry.orig_filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or any(bad in name for bad in "\\:\0") or not parts:
        raise UserError(f"{archive}: entry {name!r} leads out of the folder; archive refused")
    if any(len(part.encode()) > LONGEST_NAME_BYTES for part in parts):
        raise UserError(f"{archive}: entry {name[:40]!r}… has too long a name; archive refused")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UserError(f"{archive}: entry {name!r} is a link or device; archive refused")
    if entry.flag_bits & 1:
        raise UserError(f"{archive}: entry {name!r} is encrypted; give an archive without password")
    if entry.file_size > limits.file_bytes:
        raise UserError(
            f"{archive}: entry {name!r} unpacks to {entry.file_size} bytes, "
            f"lemons.unpack.file_bytes allows {limits.file_bytes}"
        )
    ratio = entry.file_size / max(entry.compress_size, 1)
    if entry.file_size > RATIO_MATTERS_FROM_BYTES and ratio > limits.ratio:
        raise UserError(
            f"{archive}: entry {name!r} unpacks to {ratio:.0f} times its size, "
            f"lemons.unpack.ratio allows {limits.ratio:g}"
        )


def _unpack_inner(
    zipped: zipfile.ZipFile,
    entries: dict[str, zipfile.ZipInfo],
    archive: Path,
    targets: Targets,
    limits: UnpackSettings,
) -> int:
    inner = [name for name in entries if name.lower().endswith(".zip")]
    if len(inner) != 1:
        some = ", ".join(sorted(entries)[:5]) or "nothing"
        raise UserError(f"{archive}: holds no {ANNOTATIONS}; it holds {some} …")
    with tempfile.TemporaryDirectory(prefix=".inner-", dir=targets.images.parent) as work:
        path = Path(work) / "inner.zip"
        _write_entry(zipped, entries[inner[0]], path, limits.total_bytes, archive)
        with _opened(path, f"{archive}: {inner[0]}") as nested:
            within = _checked_entries(nested, Path(inner[0]), limits)
            if not any(map(_is_annotations, within)):
                raise UserError(f"{archive}: neither it nor {inner[0]} holds {ANNOTATIONS}")
            return _unpack(nested, Path(inner[0]), targets, limits)


def _write_entry(
    zipped: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, allowed: int, archive: Path
) -> int:
    """Unpack one file of at most `allowed` bytes; returns its size."""
    what = f"{archive}: entry {entry.filename!r}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _readable(what):
        source = zipped.open(entry)
    with source, path.open("wb") as target:
        return _copy_bounded(source, target, allowed, what)


def _copy_bounded(source: BinaryIO, target: BinaryIO, allowed: int, what: str) -> int:
    done = 0
    while True:
        with _readable(what):
            chunk = source.read(CHUNK_BYTES)
        if not chunk:
            return done
        done += len(chunk)
        if done > allowed:
            raise UserError(f"{what} unpacks to more than the {allowed} bytes that are allowed")
        target.write(chunk)


def _is_annotations(name: str) -> bool:
    return f"/{name}".endswith(f"/{ANNOTATIONS}")


def _compare_with_annotations(targets: Targets, archive: Path) -> None:
    """Refuse an archive whose annotations name photos that it lacks."""
    try:
        content = json.loads((targets.annotations / ANNOTATIONS_FILE).read_text(encoding="utf-8"))
        # The archive's names hold the prefix images/; other exports leave it out.
        names = [image["file_name"].removeprefix("images/") for image in content["images"]]
        missing = [name for name in names if not (targets.images / name).is_file()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{archive}: {ANNOTATIONS} is no COCO file: {error!r}") from None
    if missing:
        raise UserError(
            f"{archive}: {len(missing)} of {len(names)} photos of {ANNOTATIONS} are missing in "
            f"images/, such as {missing[0]}; the archive is incomplete"
        )
