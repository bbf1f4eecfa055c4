"""Reader for COCO instance annotations: polygons and RLE masks, decoded by pycocotools.

Format: cocodataset.org/#format-data. Regions of one category are united, whatever their number
and their `iscrowd`; `attributes`, `area`, `supercategory` and other additions are ignored.
Annotation ids are not used, so clashing ones (files merged from several exports) do no harm;
clashing image or category ids do.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline.data.coco_file import CocoFile, load_coco
from pipeline.data.photos import LARGEST_PIXELS, Header, read_header
from pipeline.data.problems import FaultError, is_utf8
from pipeline.data.records import Reading, Record, no_masks
from pipeline.data.segmentations import check_segmentation, covers_nothing, decode_regions
from pipeline.io.params import Settings

_TOTAL_NAMED = 5


class CocoSettings(Settings):
    """Where the JSON file and the photos lie, relative to `dataset.path`."""

    annotations: str = Field(min_length=1)
    images: str = Field(min_length=1)


def read_coco(root: Path, settings: CocoSettings) -> Reading:
    """Read a COCO export below `root`.

    Raises:
        UnusableError: the JSON file is missing or is no COCO file at all. Single faults are
            collected in the reading's problems.
    """
    file = load_coco(root / settings.annotations)
    folders = _folders(root, file.path, settings)
    reading = Reading(categories=list(dict.fromkeys(file.names.values())))
    records: dict[str, tuple[int, Record]] = {}
    for key in file.images:
        record = _read_entry(root, folders, file, key, reading)
        if record is not None and records.setdefault(record.source, (key, record))[0] != key:
            _blame_both(file, records[record.source][0], key, record.source)
    kept = {key: record for key, record in records.values() if key not in file.spoilt}
    reading.records = sorted(kept.values(), key=lambda record: record.source)
    reading.problems = file.problems
    _tell_empty(file, reading)
    return reading


def _blame_both(file: CocoFile, first: int, second: int, source: str) -> None:
    for key, other in ((first, second), (second, first)):
        where = f"images[{file.images[key][0]}].file_name"
        got = f"{source}, as in images[{file.images[other][0]}]"
        file.blame(where, got, "one entry a photo", "unite the two entries", key)


def _tell_empty(file: CocoFile, reading: Reading) -> None:
    regions = [region for listed in file.regions.values() for region in listed]
    empty = [region for region in regions if covers_nothing(region.segmentation)]
    if empty:
        named = ", ".join(f"{r.where} ({r.category})" for r in empty[:_TOTAL_NAMED])
        more = ", …" if len(empty) > _TOTAL_NAMED else ""
        reading.notes.append(
            f"{file.path}: {len(empty)} annotations without an area cover nothing: {named}{more}"
        )


def _folders(root: Path, file: Path, settings: CocoSettings) -> list[Path]:
    """Where photos may lie, in the order they are looked for."""
    images = root / settings.images
    above = file.parent.parent
    beside = [above / "images", above, file.parent / "images", file.parent]
    return [images, images / "images", *(folder for folder in beside if _inside(folder, root))]


def _plain(path: Path | str) -> str:
    """The path without `..`; links are not followed, as DVC may make a data set of links."""
    return os.path.abspath(path)


def _inside(path: Path, root: Path) -> bool:
    plain, above = _plain(path), _plain(root)
    return plain == above or plain.startswith(above.rstrip(os.sep) + os.sep)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, or a null byte in it
        return False


def _read_entry(
    root: Path, folders: list[Path], file: CocoFile, key: int, reading: Reading
) -> Record | None:
    """The photo of an entry of `images`; None = there is a problem, which the file then has."""
    index, entry = file.images[key]
    where, regions = f"images[{index}]", file.regions[key]
    image, header = None, None
    try:
        size = _annotated_size(entry)
        image = _find(root, folders, entry["file_name"])
        header = read_header(image)
        size = size or header.upright
    except FaultError as fault:
        file.spoilt.add(key)
        inside = "" if image else f"{where}."
        file.problems.append(fault.at(image or file.path, entry["file_name"], inside))
        size = None
    for region in regions:
        try:
            check_segmentation(region.segmentation, size)
        except FaultError as fault:
            file.blame(f"{region.where}.{fault.args[0]}", *fault.args[1:], key)
    if size is None or header is None:
        return None
    source = Path(os.path.relpath(_plain(image), _plain(root))).as_posix()
    orientation = _orientation_of_masks(size, header, source, reading)
    if orientation is None:
        shown = f"{header.upright[0]}×{header.upright[1]}"
        got, remedy = f"{size[0]}×{size[1]}", "annotate this very file"
        file.blame(f"{where}.width, height", got, f"the aspect of {source}, {shown}", remedy, key)
        return None
    present = frozenset(region.category for region in regions)
    parts = tuple((r.where, r.category, r.segmentation) for r in regions)
    masks = partial(decode_regions, parts, size, orientation) if present else no_masks
    return Record(source, image, header.upright, present, masks)


def _annotated_size(entry: dict[str, Any]) -> tuple[int, int] | None:
    """Width and height of an entry of `images`; None = it has none."""
    sides = [entry.get("width"), entry.get("height")]
    if sides == [None, None] or sides == [0, 0]:
        return None
    for name, side in zip(("width", "height"), sides, strict=True):
        if not isinstance(side, (int, float)) or not 1 <= side <= LARGEST_PIXELS or side % 1:
            raise FaultError(name, repr(side), "a whole number of pixels", "correct the entry")
    width, height = map(int, sides)
    if width * height > LARGEST_PIXELS:
        got = f"{width}×{height}"
        raise FaultError("width, height", got, f"at most {LARGEST_PIXELS} pixels", "scale it down")
    return width, height


def _find(root: Path, folders: list[Path], file_name: str) -> Path:
    name = file_name.replace("\\", "/")
    image = next((folder / name for folder in folders if _is_file(folder / name)), None)
    if not is_utf8(name):
        raise FaultError("file_name", repr(name), "a name in UTF-8", "rename the file")
    if image is None:
        looked = ", ".join(dict.fromkeys(str(folder) for folder in folders))
        raise FaultError(
            "file_name", f"{name!r}, which is not there", f"a file in {looked}", "add the photo"
        )
    if not _inside(image, root):
        raise FaultError(
            "file_name", f"{name!r}, which leads out", f"a file in {root}", "move the photo there"
        )
    return image


def _orientation_of_masks(
    size: tuple[int, int], header: Header, source: str, reading: Reading
) -> int | None:
    """How masks of `size` are turned to lie on the upright photo; None = they do not fit it."""
    for frame, orientation in ((header.upright, 1), (header.stored, header.orientation)):
        if size == frame:
            return orientation
        if abs(frame[0] * size[1] / size[0] - frame[1]) <= 1:
            reading.notes.append(
                f"{source}: {frame[0]}×{frame[1]} px, annotated at {size[0]}×{size[1]}: scaled"
            )
            return orientation
    return None
