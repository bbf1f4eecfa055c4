"""The table of `evaluate-samples`: each figure beside what real photos score."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.generation_quality.measured import Measured

SIGNIFICANT_DIGITS = 6  # the last ones depend on the number of threads


@dataclass(frozen=True)
class Row:
    """A figure of the synthetic photos and of real ones.

    reference: the same of real photos: of the validation photos against the training photos, or of
        the training photos among themselves.
    halves: of one half of the training photos against the other; None = says nothing here.
    """

    name: str
    synthetic: Measured
    reference: Measured
    halves: Measured | None = None

    def to_record(self) -> dict[str, Any]:
        """The row's columns; None where there is no figure."""
        record: dict[str, Any] = {"name": self.name}
        sides = {"": self.synthetic, "reference": self.reference, "halves": self.halves}
        for prefix, side in sides.items():
            value, of_it = (prefix or "value"), (f"{prefix}_" if prefix else "")
            record[value] = side and _rounded(side.value)
            record[f"{of_it}deviation"] = side and _rounded(side.deviation)
            record[f"{of_it}n"] = side and side.n
            record[f"{of_it}n_against"] = side and side.n_against
        return record | {"note": self._note()}

    def _note(self) -> str:
        others = [
            f"{what}: {side.note}"
            for what, side in (("reference", self.reference), ("halves", self.halves))
            if side is not None and side.note != self.synthetic.note
        ]
        return "; ".join([self.synthetic.note, *others])


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else float(f"{figure:.{SIGNIFICANT_DIGITS}g}")


def to_frame(rows: list[Row]) -> pd.DataFrame:
    """The rows as a table, counts as nullable integers."""
    frame = pd.DataFrame([row.to_record() for row in rows])
    counts = [name for name in frame if name.split("_")[-1] == "n" or name.endswith("n_against")]
    return frame.astype(dict.fromkeys(counts, "Int64"))


def to_flat(rows: list[Row]) -> dict[str, Any]:
    """The rows as one mapping: `kid`, `kid_deviation`, `kid_n`, …, `fid`, …"""
    return {
        row.name if column == "value" else f"{row.name}_{column}": entry
        for row in rows
        for column, entry in row.to_record().items()
        if column != "name"
    }


def to_lines(rows: list[Row]) -> list[str]:
    """A line for each figure, for a person at a terminal."""
    return [
        f"{row.name}: {_text(row.synthetic)} (real photos: {_text(row.reference)}); {row._note()}"
        for row in rows
    ]


def _text(side: Measured) -> str:
    if side.value is None:
        return "none"
    deviation = "" if side.deviation is None else f" ± {side.deviation:.2g}"
    return f"{side.value:.4g}{deviation}, n = {side.n}"
