"""What the synthetic sets of a study's cells are like beside real photos.

metrics/generation.csv of each run has a row a figure (KID, colours, ...), with its deviation and
the same figure of real photos. None of them knows an architecture, a mix or a seed.
"""

import io
from collections.abc import Callable

import pandas as pd

from pipeline.io.errors import UserError
from pipeline.studies.naming import figure_name
from pipeline.studies.study import Cell

FILE = "metrics/generation.csv"
COLUMNS = ["name", "value", "deviation", "reference"]


def read_quality(
    runs: list[tuple[Cell, Callable[[str], bytes]]], axes: list[str], names: list[str]
) -> pd.DataFrame:
    """The figures of all cells; those of a cell's folds are averaged.

    Args:
        runs: each run with what gives the content of a file of it.
        axes: names of the study's axes.
        names: figures of metrics/generation.csv.

    Returns:
        A row for each cell and figure: the axes' values, `name`, `value`, its `deviation` and
        `reference` (that of real photos); NaN where there is none.

    Raises:
        UserError: a run lacks one of the figures.
    """
    tables = []
    for cell, read in runs:
        table = pd.read_csv(io.BytesIO(read(FILE)))
        if missing := [name for name in names if name not in set(table["name"])]:
            raise UserError(
                f"{FILE}: got no figure {', '.join(missing)} in {cell.name}, expected some of "
                f"{', '.join(table['name'])}; mend `quality` in the study"
            )
        rows = table.set_index("name").loc[names].reset_index()[COLUMNS]
        tables.append(pd.concat([pd.DataFrame(cell.values, index=rows.index), rows], axis=1))
    together = pd.concat(tables, ignore_index=True)
    return together.groupby([*axes, "name"], sort=False).mean().reset_index()


def quality_table(quality: pd.DataFrame, axes: list[str]) -> str:
    """A row a cell and a column a figure, as Markdown; the last row is that of real photos."""
    names = list(dict.fromkeys(quality["name"]))
    lines = [[*axes, *map(figure_name, names)], ["---"] * len(axes) + ["--:"] * len(names)]
    for labels, rows in quality.groupby(axes, sort=False):
        of = rows.set_index("name")
        lines.append(
            [*map(str, labels), *(_told(of.loc[name, ["value", "deviation"]]) for name in names)]
        )
    references = quality.groupby("name")["reference"].mean()
    real = ["real photos", *[""] * (len(axes) - 1)]
    lines.append([*real, *(_told(pd.Series([references[name]])) for name in names)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _told(numbers: pd.Series) -> str:
    """A value and, where there is one, its deviation, with three digits; `–` for none."""
    told = [f"{number:.3g}" for number in numbers if pd.notna(number)]
    return " ± ".join(told) if pd.notna(numbers.iloc[0]) else "–"
