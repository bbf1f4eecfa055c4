"""Reader for folders of photos and of masks that are images themselves.

Where a mask lies follows from where its photo lies (`mask`), what it shows from the photo's
folder, from the pixel's value, or is the same everywhere (`class_from`).
"""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.data.folder_layout import Layout, find_layout
from pipeline.data.folder_settings import FolderSettings
from pipeline.data.mask_files import BACKGROUND, read_regions, read_values, regions_of
from pipeline.data.photos import Header, read_header
from pipeline.data.problems import FaultError, Problem
from pipeline.data.records import Reading, Record, no_masks
from pipeline.io.cores import total_cores
from pipeline.io.errors import UserError
from pipeline.io.progress import progress

_TOTAL_NAMED = 5


@dataclass(frozen=True)
class _Scan:
    """One photo and its mask as found: a record, or why there is none."""

    record: Record | None = None
    problem: Problem | None = None
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
    layout = find_layout(root, settings)
    scans = []
    total = len(layout.masks)
    with ThreadPoolExecutor(total_cores()) as pool, progress(total, "masks read") as bar:
        for scan in pool.map(partial(_scan, root, settings), *_columns(layout)):
            scans.append(scan)
            bar.update()
    records = [scan.record for scan in scans if scan.record]
    problems = layout.problems + [scan.problem for scan in scans if scan.problem]
    if not problems and not any(record.categories for record in records):
        highest = max((scan.highest for scan in scans), default=0)
        raise UserError(
            f"{root}: none of {len(scans)} masks shows a region; their highest value is {highest}, "
            f"dataset.folders.threshold is {settings.threshold}"
        )
    return Reading(records, _declared(scans, settings), problems, _notes(scans, settings))


def _columns(layout: Layout) -> tuple[list[str], list[str]]:
    return list(layout.masks), list(layout.masks.values())


def _notes(scans: list[_Scan], settings: FolderSettings) -> list[str]:
    notes = []
    empty = [scan.contradiction for scan in scans if scan.contradiction]
    if empty:
        notes.append(
            f"{len(empty)} photos left out, as their folder names a defect but their mask is "
            f"empty: {', '.join(empty)}"
        )
    dark = [s.record.source for s in scans if s.record and s.highest and not s.record.categories]
    if dark and settings.class_from != "value":
        more = ", …" if len(dark) > _TOTAL_NAMED else ""
        notes.append(
            f"{len(dark)} masks are not black but show nothing above dataset.folders.threshold = "
            f"{settings.threshold}: {', '.join(dark[:_TOTAL_NAMED])}{more}"
        )
    return notes


def _declared(scans: list[_Scan], settings: FolderSettings) -> list[str]:
    if settings.class_from == "value":
        return [name for name in settings.class_values if name != BACKGROUND]
    if settings.class_from == "constant":
        return [settings.class_name]
    return sorted({scan.category for scan in scans if scan.category} - set(settings.defect_free))


def _scan(root: Path, settings: FolderSettings, source: str, mask: str) -> _Scan:
    image, path = root / source, root / mask
    try:
        header = read_header(image)
        category = _CATEGORY[settings.class_from](source, settings)
    except FaultError as fault:
        return _Scan(problem=fault.at(image, source))
    try:
        return _examine(source, image, path, header, category, settings)
    except FaultError as fault:
        return _Scan(problem=fault.at(path, source), category=category)


def _examine(
    source: str,
    image: Path,
    path: Path,
    header: Header,
    category: str | None,
    settings: FolderSettings,
) -> _Scan:
    if path == image:
        raise FaultError(
            "dataset.folders.mask",
            f"{settings.mask!r}, which names the photo itself",
            "a path of another file",
            "see the places that the comment in params.yaml lists",
        )
    if path.is_file():
        return _examine_mask(source, image, path, header, category, settings)
    if category not in settings.defect_free and settings.mask_missing == "error":
        raise FaultError(
            "dataset.folders.mask",
            "no such mask",
            f"one for {source} ({settings.mask!r})",
            "add it, or set dataset.folders.mask_missing: defect_free",
        )
    record = Record(source, image, header.upright, frozenset(), no_masks)
    return _Scan(record, category=category)


def _examine_mask(
    source: str,
    image: Path,
    path: Path,
    header: Header,
    category: str | None,
    settings: FolderSettings,
) -> _Scan:
    size, values = read_values(path, settings)
    regions = regions_of(values, category, settings)
    if size not in (header.upright, header.stored):
        raise FaultError(
            "size",
            f"{size[0]}×{size[1]} px",
            f"that of {source}, {header.upright[0]}×{header.upright[1]}",
            "export both at one size",
        )
    present = frozenset(name for name, mask in regions.items() if mask.any())
    highest = int(values.max(initial=0))
    if category in settings.defect_free:
        if present:
            raise FaultError(
                "values",
                f"a region, but {category} is in dataset.folders.defect_free",
                "an empty mask",
                "move the photo to its class, or clear the mask",
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
        raise FaultError(
            "dataset.folders.class_pattern",
            f"{source!r}, which it does not match",
            f"a match of {settings.class_pattern!r}",
            "mend the pattern, or move the photo",
        )
    return match.group(1)


_CATEGORY: dict[str, Callable[[str, FolderSettings], str | None]] = {
    "folder": _category_from_folder,
    "constant": lambda _source, settings: settings.class_name,
    "value": lambda _source, _settings: None,
}
