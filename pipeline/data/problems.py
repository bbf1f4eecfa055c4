"""What is wrong with a data set: every fault of a run, with file, field, got, expected and remedy.

Readers collect faults instead of stopping at the first. `dataset.on_problem` then decides: `stop`
refuses the set, `skip` leaves out the photos that a fault spoils. Either way all of them are
listed. With `skip` the list is part of the prepared set (`data/prepared/problems.csv`). A stage
that stops must leave no out, or DVC and a reader could take it for a finished one; the list then
lies beside the out as `data/prepared.problems.csv`, which the next run replaces or removes.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from pipeline.io.atomic import write_text
from pipeline.io.errors import UserError
from pipeline.io.one_line import one_line

LIST_FILE = "problems.csv"
_TOTAL_SHOWN = 20
_LONGEST_TEXT = 4096  # as the longest path of Linux


@dataclass(frozen=True)
class Problem:
    """One fault.

    Attributes:
        file: the file in which it is, as a path that can be opened.
        field: what of it: `pixels`, `size`, `images[3].file_name`.
        got, expected, remedy: as every message of the pipeline has them.
        photo: the photo that `on_problem: skip` leaves out; empty = an entry that belongs to none.
    """

    file: str
    field: str
    got: str
    expected: str
    remedy: str
    photo: str = ""

    def __post_init__(self) -> None:
        """Escape what is no UTF-8, as a file name may hold it: every text can be written.

        What is longer than any path is cut: it is no file's name.
        """
        for name, text in asdict(self).items():
            escaped = text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace").decode("utf-8")
            object.__setattr__(self, name, escaped)

    def __str__(self) -> str:
        """The fault as one line."""
        texts = {name: one_line(text) for name, text in asdict(self).items()}
        return "{file}: {field}: got {got}, expected {expected}; {remedy}".format_map(texts)


def is_utf8(text: str) -> bool:
    """Whether a text, such as a file's name, can be written as UTF-8."""
    return text.isascii() or text == text.encode("utf-8", "replace").decode("utf-8")


class FaultError(Exception):
    """What is wrong with a field, raised where the file and the photo are not known."""

    def __init__(self, field: str, got: str, expected: str, remedy: str) -> None:
        super().__init__(field, got, expected, remedy)

    def __str__(self) -> str:
        """The fault without its file."""
        return "{}: got {}, expected {}; {}".format(*self.args)

    def at(self, file: Path | str, photo: str = "", inside: str = "") -> Problem:
        """The fault with the place where it is; `inside` goes before the field."""
        field, got, expected, remedy = self.args
        return Problem(str(file), inside + field, got, expected, remedy, photo)


class ProblemsError(UserError):
    """A data set that is refused; the message shows the first faults, `problems` has all."""

    def __init__(self, root: str, problems: list[Problem]) -> None:
        super().__init__(root, problems)
        self.root, self.problems = root, problems

    def __str__(self) -> str:
        """How many faults there are, the first ones, and the two ways out."""
        total = len(self.problems)
        head = (
            f"{total} problem{'s' * (total != 1)} in {self.root}; mend them, or leave these "
            "photos out by dataset.on_problem: skip"
        )
        return "\n       ".join([head, *self._first()])

    def _first(self) -> list[str]:
        lines = [str(problem) for problem in self.problems[:_TOTAL_SHOWN]]
        more = len(self.problems) - _TOTAL_SHOWN
        return [*lines, f"… and {more} more"] if more > 0 else lines


class UnusableError(ProblemsError):
    """A data set without what all its photos need, such as the file of their labels.

    It is refused whatever `dataset.on_problem` says, as there is nothing to leave out.
    """

    def __str__(self) -> str:
        """The faults alone."""
        return "\n       ".join(self._first())


def write_problems(path: Path, problems: list[Problem]) -> None:
    """Write the list as CSV, a row a problem, in the order they were found."""
    rows = [asdict(problem) for problem in problems]
    frame = pd.DataFrame(rows, columns=[column.name for column in fields(Problem)])
    write_text(path, frame.to_csv(index=False))


@contextlib.contextmanager
def list_beside(out: Path) -> Iterator[None]:
    """Keep the list of a data set that the block refuses, as `<out>.problems.csv`.

    The list of an earlier run is removed first.
    """
    path = out.with_name(f"{out.name}.{LIST_FILE}")
    path.unlink(missing_ok=True)
    try:
        yield
    except ProblemsError as error:
        write_problems(path, error.problems)
        raise UserError(f"{error}\n       all that is wrong: {path}") from None


def skip_or_stop(problems: list[Problem], root: str, on_problem: str, folder: Path) -> list[str]:
    """List the problems of a set of which they are left out, in `folder`; or refuse the set.

    Without a problem nothing is written, so that the prepared set stays the same to the byte.

    Returns:
        What to tell the user.

    Raises:
        ProblemsError: there are some and `on_problem` is `stop`.
    """
    if not problems:
        return []
    if on_problem == "stop":
        raise ProblemsError(root, problems)
    write_problems(folder / LIST_FILE, problems)
    photos = {problem.photo for problem in problems if problem.photo}
    shown = [f"  {problem}" for problem in problems[:_TOTAL_SHOWN]]
    if len(problems) > _TOTAL_SHOWN:
        shown.append(f"  … and {len(problems) - _TOTAL_SHOWN} more")
    return [
        "\n".join(
            [
                f"WARNING: {len(photos)} photos left out for {len(problems)} problems "
                f"(dataset.on_problem: skip), all in {LIST_FILE} of the prepared set:",
                *shown,
            ]
        )
    ]
