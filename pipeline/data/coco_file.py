"""The JSON file of a COCO export: its entries, those that are wrong told with their field."""

import codecs
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from pipeline.data.problems import FaultError, Problem, UnusableError

PARTS = ("images", "annotations", "categories")
_LONGEST_NAME = 200  # of a category, in characters


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
        UnusableError: it is missing or is no COCO file at all. Single faults are collected.
    """
    content = _load(path)
    file = CocoFile(path)
    _take_categories(file, content["categories"])
    _take_images(file, content["images"])
    _take_annotations(file, content["annotations"])
    return file


def _load(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():  # of a pipe or device the reading would never end
            raise FileNotFoundError
        content = _parse(path.read_bytes())
    except FileNotFoundError:
        expected = "the JSON file's path relative to dataset.path"
        fault = FaultError("dataset.coco.annotations", "no such file", expected, "mend the path")
    except UnicodeDecodeError as error:
        fault = FaultError("encoding", str(error), "UTF-8", "save it as such")
    except RecursionError:
        fault = FaultError("content", "brackets nested too deep", "COCO", "export it again")
    except (OSError, ValueError) as error:
        fault = FaultError("content", f"no JSON: {error}", "a JSON file", "export it again")
    else:
        faults = [fault for key in PARTS if (fault := _fault_of_part(content, key))]
        if not faults:
            return content
        raise UnusableError(str(path), [fault.at(path) for fault in faults])
    raise UnusableError(str(path), [fault.at(path)])


def _parse(content: bytes) -> Any:
    """What `json` makes of it, in a third of the time; it takes and explains what orjson refuses.

    Raises:
        UnicodeDecodeError, RecursionError, ValueError: as `json.loads`.
    """
    try:
        return orjson.loads(content.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError:
        return json.loads(content.decode("utf-8-sig"))


def _fault_of_part(content: Any, key: str) -> FaultError | None:
    """What is wrong with `images`, `annotations` or `categories` as a whole."""
    if not isinstance(content, dict) or key not in content:
        got = "none"
    elif not isinstance(content[key], list):
        got = type(content[key]).__name__
    elif not all(isinstance(entry, dict) for entry in content[key]):
        got = "a list of other things"
    else:
        return None
    expected = "a list of objects, as COCO instances have it"
    return FaultError(key, got, expected, "export as COCO instances")


def _take_categories(file: CocoFile, entries: list[dict]) -> None:
    clashing = set()
    for index, entry in enumerate(entries):
        where, key, name = f"categories[{index}]", entry.get("id"), entry.get("name")
        if not isinstance(key, int) or not isinstance(name, str) or not name:
            got = f"id {key!r}, name {name!r}"
            file.blame(where, got, "a whole number and a name", "mend the entry", None)
        elif len(name) > _LONGEST_NAME:
            got = f"{len(name)} characters"
            told = (f"at most {_LONGEST_NAME}", "give the category a name that fits in a table")
            file.blame(f"{where}.name", got, *told, None)
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
