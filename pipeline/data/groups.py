"""Which photos show the same thing (fruit, tile, field), from the file's name or from a table."""

import csv
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from pipeline.io.errors import UserError


def groups_by_pattern(sources: list[str], pattern: str) -> list[str]:
    """The first group of a regular expression, searched in the file's name, else in its path.

    Raises:
        UserError: some photos do not match.
    """
    groups, unmatched = [], []
    for source in sources:
        match = re.search(pattern, PurePosixPath(source).name) or re.search(pattern, source)
        if match is None or not match.group(1):
            unmatched.append(source)
        else:
            groups.append(match.group(1))
    if unmatched:
        raise UserError(
            f"split.group_pattern: {pattern!r} matches neither name nor path of "
            f"{len(unmatched)} of {len(sources)} photos: {_some(unmatched)}"
        )
    return groups


def groups_from_csv(sources: list[str], path: Path) -> list[str]:
    """The groups of a CSV file with the columns `image` and `group`.

    An image is named by its path relative to the data set, or by its file name where only one
    photo has that.

    Raises:
        UserError: the file is missing or malformed, contradicts itself, or lacks some photo.
    """
    listed = _read(path)
    by_name = defaultdict(list)
    for source in sources:
        by_name[PurePosixPath(source).name].append(source)
    groups, missing = [], []
    for source in sources:
        name = PurePosixPath(source).name
        group = listed.get(source) or (listed.get(name) if len(by_name[name]) == 1 else None)
        if group is None:
            missing.append(source)
        else:
            groups.append(group)
    if missing:
        raise UserError(
            f"{path}: has no group for {len(missing)} of {len(sources)} photos: {_some(missing)}"
        )
    return groups


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"image", "group"} <= set(rows.fieldnames or ()):
                raise UserError(f"{path}: got columns {rows.fieldnames}, expected image and group")
            listed: dict[str, str] = {}
            for row in rows:
                image, group = (row["image"] or "").strip(), (row["group"] or "").strip()
                if not image or not group:
                    raise UserError(f"{path}, line {rows.line_num}: image or group is empty")
                if listed.setdefault(image.removeprefix("./"), group) != group:
                    raise UserError(f"{path}, line {rows.line_num}: {image} is in two groups")
            return listed
    except FileNotFoundError:
        raise UserError(f"{path}: not found; split.group_csv is relative to dataset.path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV: {error}") from None


def _some(sources: list[str]) -> str:
    return ", ".join(sources[:5]) + (", …" if len(sources) > 5 else "")
