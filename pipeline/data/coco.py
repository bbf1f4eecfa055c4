"""Reader for COCO instance annotations: polygons and RLE masks, decoded by pycocotools.

Format: cocodataset.org/#format-data. Regions of one category are united, whatever their number
and their `iscrowd`; `attributes` and other additions are ignored. Annotation ids are not used, so
clashing ones (files merged from several exports) do no harm; clashing image or category ids do.
"""

import json
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline.data.photos import UNREADABLE, Header, read_header
from pipeline.data.records import Reading, Record, no_masks
from pipeline.data.segmentations import covers_nothing, decode_regions, segmentation_fault
from pipeline.io.errors import UserError
from pipeline.io.params import Settings


class CocoSettings(Settings):
    """Where the JSON file and the photos lie, relative to `dataset.path`."""

    annotations: str = Field(min_length=1)
    images: str = Field(min_length=1)


def read_coco(root: Path, settings: CocoSettings) -> Reading:
    """Read a COCO export below `root`.

    Raises:
        UserError: the JSON file is missing or is no COCO file at all. Single faults are collected
            in the reading's problems.
    """
    file = root / settings.annotations
    content = _load(file)
    reading = Reading()
    names = _category_names(content["categories"], file, reading)
    images = _images_by_id(content["images"], file, reading)
    regions = _regions_by_image(content["annotations"], images, names, file, reading)
    folders = _folders(root, file, settings)
    sources: dict[str, int] = {}
    for key, (index, entry) in images.items():
        record = _record(root, folders, entry, regions[key], f"{file}: images[{index}]", reading)
        if record is None:
            continue
        if record.source in sources:
            reading.problems.append(
                f"{file}: images[{index}].file_name: {record.source} is also images"
                f"[{sources[record.source]}]; unite the two entries"
            )
        sources.setdefault(record.source, index)
        reading.records.append(record)
    reading.categories = list(dict.fromkeys(names.values()))
    reading.records.sort(key=lambda record: record.source)
    return reading


def _load(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(
            f"{file}: not found; dataset.coco.annotations is the JSON file's path relative to "
            "dataset.path"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as JSON: {error}") from None
    for key in ("images", "annotations", "categories"):
        part = content.get(key) if isinstance(content, dict) else None
        if not isinstance(part, list) or not all(isinstance(entry, dict) for entry in part):
            raise UserError(f"{file}: {key}: expected a list of objects, as COCO has it")
    return content


def _category_names(entries: list[dict], file: Path, reading: Reading) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for index, entry in enumerate(entries):
        where = f"{file}: categories[{index}]"
        key, name = entry.get("id"), entry.get("name")
        if not isinstance(key, int) or not isinstance(name, str) or not name:
            reading.problems.append(f"{where}: got id {key!r}, name {name!r}, expected both")
        elif names.setdefault(key, name) != name:
            reading.problems.append(f"{where}.id: {key} is {names[key]} and {name}")
    return names


def _images_by_id(entries: list[dict], file: Path, reading: Reading) -> dict[Any, tuple]:
    images: dict[Any, tuple[int, dict]] = {}
    for index, entry in enumerate(entries):
        where = f"{file}: images[{index}]"
        key, name = entry.get("id"), entry.get("file_name")
        if not isinstance(key, int) or not isinstance(name, str) or not name:
            reading.problems.append(f"{where}: got id {key!r}, file_name {name!r}, expected both")
        elif key in images:
            reading.problems.append(
                f"{where}.id: {key} is also images[{images[key][0]}]; "
                "annotations cannot be told apart, number the images anew"
            )
        else:
            images[key] = (index, entry)
    return images


def _regions_by_image(
    entries: list[dict], images: dict, names: dict[Any, str], file: Path, reading: Reading
) -> dict[Any, list[tuple[str, Any]]]:
    """Image id → category name and segmentation of each region that covers something."""
    regions = defaultdict(list)
    empty = []
    for index, entry in enumerate(entries):
        where = f"{file}: annotations[{index}] (id {entry.get('id')})"
        key, category = entry.get("image_id"), entry.get("category_id")
        if not isinstance(key, int) or key not in images:
            reading.problems.append(f"{where}.image_id: {key!r} is no id in images")
        elif not isinstance(category, int) or category not in names:
            reading.problems.append(f"{where}.category_id: {category!r} is no id in categories")
        else:
            segmentation = entry.get("segmentation")
            image = images[key][1]
            fault = segmentation_fault(segmentation, image.get("width"), image.get("height"))
            if fault:
                reading.problems.append(f"{where}.segmentation: {fault}")
            elif covers_nothing(segmentation):
                empty.append(f"annotations[{index}] ({names[category]})")
            else:
                regions[key].append((names[category], segmentation))
    if empty:
        reading.notes.append(
            f"{file}: {len(empty)} annotations without an area were left out: "
            + ", ".join(empty[:5])
            + (", …" if len(empty) > 5 else "")
        )
    return regions


def _folders(root: Path, file: Path, settings: CocoSettings) -> list[Path]:
    """Where photos may lie, in the order they are looked for."""
    images = root / settings.images
    above = file.parent.parent
    beside = [above / "images", above, file.parent / "images", file.parent]
    return [images, images / "images", *(folder for folder in beside if _inside(folder, root))]


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _record(
    root: Path, folders: list[Path], entry: dict, regions: list, where: str, reading: Reading
) -> Record | None:
    name = entry["file_name"].replace("\\", "/")
    image = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if image is None:
        looked = ", ".join(dict.fromkeys(str(folder) for folder in folders))
        reading.problems.append(f"{where}.file_name: {name!r} not found in {looked}")
        return None
    if not _inside(image, root):
        reading.problems.append(f"{where}.file_name: {name!r} lies outside of {root}")
        return None
    source = image.resolve().relative_to(root.resolve()).as_posix()
    try:
        header = read_header(image)
    except UNREADABLE as error:
        reading.problems.append(f"{image}: cannot be read as an image: {error}")
        return None
    size = (entry.get("width") or header.upright[0], entry.get("height") or header.upright[1])
    orientation = _orientation_of_masks(size, header, where, source, reading)
    if orientation is None:
        return None
    masks = partial(decode_regions, tuple(regions), size, orientation) if regions else no_masks
    present = frozenset(category for category, _ in regions)
    return Record(source, image, header.upright, present, masks)


def _orientation_of_masks(
    size: tuple[int, int], header: Header, where: str, source: str, reading: Reading
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
    reading.problems.append(
        f"{where}: width, height {size[0]}, {size[1]}, but {source} has "
        f"{header.upright[0]}×{header.upright[1]} px, another aspect; annotate this very file"
    )
    return None
