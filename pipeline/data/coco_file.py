"""The JSON file of a COCO export: its entries, those that are wrong told with their field."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.data.problems import Problem
from pipeline.io.errors import UserError

PARTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class Region:
    """One annotation: where it stands in the file, its category and its segmentation."""

    where: str
    category: str
    segmentation: Any


@dataclass
class CocoFile:
    """The entries of the file that are usable, and what is wrong with the others.

    Attributes:
        path: the file.
        names: category id → name.
        images: image id → index in `images`, and the entry.
        regions: image id → its annotations.
        spoilt: ids of images of which an entry is wrong: their labels cannot be trusted.
        problems: what is wrong.
    """

    path: Path
    names: dict[int, str] = field(default_factory=dict)
    images: dict[int, tuple[int, dict]] = field(default_factory=dict)
    regions: dict[int, list[Region]] = field(default_factory=lambda: defaultdict(list))
    spoilt: set[int] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def blame(self, where: str, got: str, expected: str, remedy: str, key: int | None) -> None:
        """Note a fault; `key` is the id of the image that it spoils."""
        photo = ""
        if key is not None:
            self.spoilt.add(key)
            photo = self.images[key][1]["file_name"]
        self.problems.append(Problem(str(self.path), where, got, expected, remedy, photo))


def load_coco(path: Path) -> CocoFile:
    """Read the file.

    Raises:
        UserError: it is missing or is no COCO file at all. Single faults are collected.
    """
    content = _load(path)
    file = CocoFile(path)
    _take_categories(file, content["categories"])
    _take_images(file, content["images"])
    _take_annotations(file, content["annotations"])
    return file


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: not found; dataset.coco.annotations is the JSON file's path relative to "
            "dataset.path"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: encoding: got {error}, expected UTF-8; save it as such") from None
    except RecursionError:
        raise UserError(f"{path}: brackets nested too deep for a COCO file; export it again") from (
            None
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}; export it again") from None
    for key in PARTS:
        part = content.get(key) if isinstance(content, dict) else None
        if not isinstance(part, list) or not all(isinstance(entry, dict) for entry in part):
            raise UserError(
                f"{path}: {key}: expected a list of objects, as COCO instances have it; export "
                "as COCO instances"
            )
    return content


def _take_categories(file: CocoFile, entries: list[dict]) -> None:
    clashing = set()
    for index, entry in enumerate(entries):
        where, key, name = f"categories[{index}]", entry.get("id"), entry.get("name")
        if not isinstance(key, int) or not isinstance(name, str) or not name:
            got = f"id {key!r}, name {name!r}"
            file.blame(where, got, "a whole number and a name", "mend the entry", None)
        elif file.names.setdefault(key, name) != name:
            clashing.add(key)
            got = f"{key}, which is {file.names[key]} and {name}"
            file.blame(f"{where}.id", got, "an id of its own", "number the categories anew", None)
    for key in clashing:
        del file.names[key]


def _take_images(file: CocoFile, entries: list[dict]) -> None:
    for index, entry in enumerate(entries):
        where, key, name = f"images[{index}]", entry.get("id"), entry.get("file_name")
        if not isinstance(key, int) or not isinstance(name, str) or not name:
            got = f"id {key!r}, file_name {name!r}"
            file.blame(where, got, "a whole number and a file's name", "mend the entry", None)
        elif key in file.images:
            first = file.images[key][0]
            told = ("an id of its own", "number the images anew; labels cannot be told apart")
            file.blame(f"images[{first}].id", f"{key} as images[{index}]", *told, key)
            second = (f"images[{index}].id", f"{key} as images[{first}]", *told, name)
            file.problems.append(Problem(str(file.path), *second))
        else:
            file.images[key] = (index, entry)


def _take_annotations(file: CocoFile, entries: list[dict]) -> None:
    for index, entry in enumerate(entries):
        where = f"annotations[{index}] (id {entry.get('id')})"
        key, category = entry.get("image_id"), entry.get("category_id")
        if not isinstance(key, int) or key not in file.images:
            remedy = "remove the annotation or add its image"
            file.blame(f"{where}.image_id", f"{key!r}", "an id of images", remedy, None)
        elif not isinstance(category, int) or category not in file.names:
            got = f"{category!r}"
            remedy = "mend the annotation or add the category"
            file.blame(f"{where}.category_id", got, "an id of one category", remedy, key)
        else:
            region = Region(where, file.names[category], entry.get("segmentation"))
            file.regions[key].append(region)
