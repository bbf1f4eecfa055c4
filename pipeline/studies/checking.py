"""Whether the parameters of all cells are right, told before the first of them runs.

A slip of the pen in the last of many cells would else be found after a night. Each fault is told
once, with the place in the study's file that sets the parameter and the cells that have it.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.io.errors import UserError
from pipeline.studies.study import Cell, StudySettings

CELLS_NAMED = 4
LEFT_ALONE = "set before the study"


@contextlib.contextmanager
def told_of(path: Path) -> Iterator[None]:
    """Put the study's file before what a user made wrong in it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def check_cells(
    study: StudySettings, cells: Iterable[Cell], check: Callable[[dict[str, Any]], Any]
) -> None:
    """Refuse cells that the pipeline would refuse.

    Args:
        study: that spans the cells.
        cells: those that are to be run.
        check: raises UserError, a line for each fault, each of which begins with its parameter.

    Raises:
        UserError: there are faults, one line each.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        try:
            check(cell.params)
        except UserError as error:
            for line in str(error).splitlines():
                fault = line.strip()
                place = find_place(study, cell, fault.split(":", 1)[0])
                found.setdefault((place, fault), []).append(cell.name)
    if found:
        lines = [f"{place}: {fault} ({_name(names)})" for (place, fault), names in found.items()]
        raise UserError("\n       ".join(lines))


def find_place(study: StudySettings, cell: Cell, parameter: str) -> str:
    """What in the study's file sets a parameter of a cell, such as `axes.masks.augmented`."""
    found = LEFT_ALONE
    for place, changes in study.places(cell.values).items():
        if any(f"{parameter}.".startswith(f"{path}.") for path in changes):
            found = place  # of several the last one counts
    return found


def _name(names: list[str]) -> str:
    more = len(names) - CELLS_NAMED
    listed = ", ".join(names[:CELLS_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"cell{'s' * (len(names) > 1)} {listed}"
