"""Which photos show the same thing (fruit, tile, field), from the file's name or from a table.

Each way gives the group of every photo that has one, and a problem for every other photo.
"""

import csv
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from pipeline.data.problems import FaultError, Problem, UnusableError

Groups = tuple[dict[str, str], list[Problem]]


def groups_by_pattern(sources: list[str], pattern: str) -> Groups:
    """The first group of a regular expression, searched in the file's name, else in its path."""
    groups, problems = {}, []
    for source in sources:
        match = re.search(pattern, PurePosixPath(source).name) or re.search(pattern, source)
        if match is not None and match.group(1):
            groups[source] = match.group(1)
        else:
            got = "neither its name nor its path matches"
            remedy = "mend the pattern, or rename the photo"
            expected = f"a match of {pattern!r} with a group"
            problem = Problem(source, "split.group_pattern", got, expected, remedy, source)
            problems.append(problem)
    return groups, problems


def groups_from_csv(sources: list[str], path: Path) -> Groups:
    """The groups of a CSV file with the columns `image` and `group`.

    An image is named by its path relative to the data set, or by its file name where only one
    photo has that.

    Raises:
        UnusableError: the file is missing or is no such table.
    """
    listed, problems = _read(path)
    by_name = defaultdict(list)
    for source in sources:
        by_name[PurePosixPath(source).name].append(source)
    groups = {}
    for source in sources:
        name = PurePosixPath(source).name
        named = listed.get(source) or (listed.get(name) if len(by_name[name]) == 1 else None) or {}
        if len(named) == 1:
            (groups[source],) = named
        else:
            shown = ", ".join(f"{group} (line {line})" for group, line in named.items())
            got = f"groups {shown}" if named else f"no group for {source}"
            remedy = "mend the table"
            problems.append(Problem(str(path), "group", got, "one group a photo", remedy, source))
    return groups, problems


def _read(path: Path) -> tuple[dict[str, dict[str, int]], list[Problem]]:
    """Each image's groups with the line that names them first, and the lines that are broken."""
    listed: dict[str, dict[str, int]] = defaultdict(dict)
    problems = []
    try:
        if not path.is_file():  # of a pipe or device the reading would never end
            raise FileNotFoundError
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"image", "group"} <= set(rows.fieldnames or ()):
                remedy = "name them so in the first line"
                raise FaultError("columns", str(rows.fieldnames), "image and group", remedy)
            for row in rows:
                image, group = (row["image"] or "").strip(), (row["group"] or "").strip()
                if image and group:
                    listed[image.removeprefix("./")].setdefault(group, rows.line_num)
                else:
                    got = f"image {image!r}, group {group!r}"
                    told = (f"line {rows.line_num}", got, "both", "fill in or remove the line")
                    problems.append(Problem(str(path), *told))
    except FaultError as error:
        fault = error
    except FileNotFoundError:
        expected = "the table's path relative to dataset.path"
        fault = FaultError("split.group_csv", "no such file", expected, "mend the path")
    except UnicodeDecodeError as error:
        fault = FaultError("encoding", str(error), "UTF-8", "save it as such")
    except (OSError, csv.Error) as error:
        fault = FaultError("content", f"no CSV: {error}", "a CSV file", "save it as CSV")
    else:
        return dict(listed), problems
    raise UnusableError(str(path), [fault.at(path)])
