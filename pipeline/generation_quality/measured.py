"""What a measure says of a set of photos: a figure, or why there is none."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """A figure and what it was computed on.

    value, deviation: None = there is none; `note` says why there is no value.
    n: of what the figure is of: photos, pairs of photos, or image-mask pairs.
    n_against: training photos that it was compared with; None = with none.
    """

    value: float | None
    n: int
    deviation: float | None = None
    n_against: int | None = None
    note: str = ""
