"""What every reader yields: one record a photo, its regions decoded only when asked for."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.data.problems import Problem

Masks = Callable[[Collection[str]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Record:
    """One labelled photo of a data set.

    Attributes:
        source: the photo's path relative to the data set, with forward slashes.
        image: the photo's path as it can be opened.
        size: width and height in pixels, upright (after the EXIF orientation).
        categories: names of the categories that have a region in this photo.
        masks: given category names, the bool H×W mask of each that the photo has, upright. H×W
            has the photo's aspect but may have another scale. Raises `FaultError` where a region
            of them cannot be had. Picklable.
    """

    source: str
    image: Path
    size: tuple[int, int]
    categories: frozenset[str]
    masks: Masks


@dataclass
class Reading:
    """All that a reader found.

    Attributes:
        records: the photos without a problem, ordered by source.
        categories: every category the data set declares, whether it is used or not.
        problems: faults; each is in a photo that is not among the records, or in an entry of none.
        notes: what was left out or interpreted, one line each.
    """

    records: list[Record] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def no_masks(_names: Collection[str]) -> dict[str, np.ndarray]:
    """The masks of a photo without any region."""
    return {}
