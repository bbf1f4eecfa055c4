"""Reader for folders of photos and of masks that are images themselves.

Where a mask lies follows from where its photo lies (`mask`), what it shows from the photo's
folder, from the pixel's value, or is the same everywhere (`class_from`).
"""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from pipeline.data.folder_settings import FolderSettings
from pipeline.data.mask_files import BACKGROUND, read_regions, read_values, regions_of
from pipeline.data.photos import UNREADABLE, Header, read_header
from pipeline.data.records import Reading, Record, no_masks
from pipeline.io.cores import total_cores
from pipeline.io.errors import UserError
from pipeline.io.progress import progress


@dataclass(frozen=True)
class _Scan:
    """One photo and its mask as found: a record, or why there is none."""

    record: Record | None = None
    problem: str | None = None
    contradiction: str | None = None
    category: str | None = None
    highest: int = 0


def read_folders(root: Path, settings: FolderSettings) -> Reading:
    """Read photos and masks below `root`; every mask is opened to see what it shows.

    A photo whose folder names a defect but whose mask is empty is left out with a note: neither
    can be trusted.

    Raises:
        UserError: there is no photo, or no mask shows anything above the threshold.
    """
    sources = _sources(root, settings)
    scans = []
    with ThreadPoolExecutor(total_cores()) as pool, progress(len(sources), "masks read") as bar:
        for scan in pool.map(partial(_scan, root, settings), sources):
            scans.append(scan)
            bar.update()
    records = [scan.record for scan in scans if scan.record]
    problems = [scan.problem for scan in scans if scan.problem]
    if not problems and not any(record.categories for record in records):
        highest = max((scan.highest for scan in scans), default=0)
        raise UserError(
            f"{root}: none of {len(scans)} masks shows a region; their highest value is {highest}, "
            f"dataset.folders.threshold is {settings.threshold}"
        )
    empty = [scan.contradiction for scan in scans if scan.contradiction]
    notes = []
    if empty:
        notes.append(
            f"{len(empty)} photos left out, as their folder names a defect but their mask is "
            f"empty: {', '.join(empty)}"
        )
    return Reading(records, _declared(scans, settings), problems, notes)


def _sources(root: Path, settings: FolderSettings) -> list[str]:
    """The photos' paths relative to `root`, ordered, without those that are another's mask."""
    try:
        found = [path.relative_to(root) for path in root.glob(settings.images) if path.is_file()]
    except (ValueError, NotImplementedError) as error:
        raise UserError(f"dataset.folders.images: got {settings.images!r}: {error}") from None
    sources = sorted(path.as_posix() for path in found if not path.name.startswith("."))
    if not sources:
        there = sorted(path.relative_to(root).as_posix() for path in root.glob("*"))[:8]
        raise UserError(
            f"dataset.folders.images: {settings.images!r} matches no file in {root}, "
            f"which holds: {', '.join(there) or 'nothing'}"
        )
    pairs = [(source, _mask_path(source, settings)) for source in sources]
    masks = {mask for source, mask in pairs if mask != source}
    return [source for source in sources if source not in masks]


def _mask_path(source: str, settings: FolderSettings) -> str:
    path = PurePosixPath(source)
    filled = settings.mask.format(
        folder=path.parent, parent=path.parent.parent, stem=path.stem, name=path.name
    )
    return PurePosixPath(filled).as_posix()


def _declared(scans: list[_Scan], settings: FolderSettings) -> list[str]:
    if settings.class_from == "value":
        return [name for name in settings.class_values if name != BACKGROUND]
    return sorted({scan.category for scan in scans if scan.category} - set(settings.defect_free))


def _scan(root: Path, settings: FolderSettings, source: str) -> _Scan:
    try:
        return _examine(root, settings, source)
    except UserError as fault:
        return _Scan(problem=str(fault))


def _examine(root: Path, settings: FolderSettings, source: str) -> _Scan:
    image = root / source
    try:
        header = read_header(image)
    except UNREADABLE as error:
        raise UserError(f"{image}: cannot be read as an image: {error}") from None
    category = _CATEGORY[settings.class_from](source, settings)
    free = category in settings.defect_free
    path = root / _mask_path(source, settings)
    if not path.is_file():
        if not free and settings.mask_missing == "error":
            raise UserError(
                f"{path}: no such mask; expected one for {source} (dataset.folders.mask: "
                f"{settings.mask!r}), or set mask_missing: defect_free"
            )
        record = Record(source, image, header.upright, frozenset(), no_masks)
        return _Scan(record, category=category)
    if path == image:
        raise UserError(f"{path}: dataset.folders.mask: {settings.mask!r} names the photo itself")
    return _examine_mask(source, image, path, header, category, settings)


def _examine_mask(
    source: str,
    image: Path,
    path: Path,
    header: Header,
    category: str | None,
    settings: FolderSettings,
) -> _Scan:
    try:
        size, values = read_values(path, settings)
        regions = regions_of(values, category, settings)
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot be used as a mask: {error}") from None
    if size not in (header.upright, header.stored):
        raise UserError(
            f"{path}: {size[0]}×{size[1]} px, expected the size of {source}, "
            f"{header.upright[0]}×{header.upright[1]}"
        )
    present = frozenset(name for name, mask in regions.items() if mask.any())
    highest = int(values.max(initial=0))
    if category in settings.defect_free:
        if present:
            raise UserError(
                f"{path}: shows a region, but {category} is in dataset.folders.defect_free"
            )
    elif settings.class_from == "folder" and not present:
        return _Scan(contradiction=source, category=category, highest=highest)
    orientation = 1 if size == header.upright else header.orientation
    masks = partial(read_regions, path, category, settings, orientation) if present else no_masks
    record = Record(source, image, header.upright, present, masks)
    return _Scan(record, category=category, highest=highest)


def _category_from_folder(source: str, settings: FolderSettings) -> str:
    match = re.search(settings.class_pattern, source)
    if match is None or not match.group(1):
        raise UserError(
            f"{source}: dataset.folders.class_pattern {settings.class_pattern!r} does not match"
        )
    return match.group(1)


_CATEGORY: dict[str, Callable[[str, FolderSettings], str | None]] = {
    "folder": _category_from_folder,
    "constant": lambda _source, settings: settings.class_name,
    "value": lambda _source, _settings: None,
}
