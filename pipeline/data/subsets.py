"""Which photos and classes of a data set form the prepared set (thesis, sections 5.2 and 5.3).

A subset maps its classes to categories of the annotations (several merged into one class make a
binary set), numbers the classes without gaps from 1 in the order given, and says what becomes of
photos that show something else, of pixels that two classes claim, and of photos without defect.
"""

import colorsys
from collections.abc import Callable, Collection
from typing import Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from pipeline.data.records import Reading
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo
from pipeline.io.params import Settings

MIX = "mix"
BACKGROUND = "background"
# Okabe and Ito's colours, distinct for the colour-blind as well; yellow and orange are left to
# the end, since they vanish on a lemon.
_COLOURS = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (240, 228, 66),
]


class SubsetSettings(Settings):
    """One entry of `subsets`.

    Attributes:
        classes: class → categories merged into it; the order gives the index 1, 2, ….
        others: what a region of a category that is in no class does: `exclude` the photo, or
            `ignore` the region (its pixels are background).
        ignored: categories that are ignored even where `others` excludes.
        overlap: pixels that two classes claim become a further class (`mix`), go to the `first`
            or the `last` of them in the order of `classes`, or `exclude` the photo. Needed for two
            or more classes, meaningless for one.
        defect_free: whether photos without a region of the classes are part of the subset.
        expected_count: number of photos to compare with; None = none known.
    """

    classes: dict[str, list[str]] = Field(min_length=1, max_length=254)
    others: Literal["exclude", "ignore"]
    ignored: list[str] = Field(default=[])
    overlap: Literal["mix", "first", "last", "exclude"] | None = Field(
        default=None, validate_default=True
    )
    defect_free: Literal["exclude", "include"]
    expected_count: int | None = Field(default=None, ge=0)

    @field_validator("classes")
    @classmethod
    def _each_category_once(cls, classes: dict[str, list[str]]) -> dict[str, list[str]]:
        listed = [category for categories in classes.values() for category in categories]
        if len(set(listed)) < len(listed) or not all(classes.values()):
            raise ValueError("each class with at least one category, each category in one class")
        if {MIX, BACKGROUND} & set(classes):
            raise ValueError(f"class names other than {MIX} and {BACKGROUND}, which have a meaning")
        return classes

    @field_validator("overlap")
    @classmethod
    def _overlap_of_several(cls, overlap: str | None, info: ValidationInfo) -> str | None:
        total = len(info.data.get("classes", ()))
        if total > 1 and overlap is None:
            raise ValueError(f"mix, first, last or exclude, as there are {total} classes")
        if total == 1 and overlap is not None:
            raise ValueError("null, as there is one class and nothing to overlap")
        return overlap

    @property
    def categories(self) -> list[str]:
        """All categories that become a class, in the order of the classes."""
        return [category for listed in self.classes.values() for category in listed]


def class_list(subset: SubsetSettings) -> list[ClassInfo]:
    """The classes with index and colour, background (black) first, `mix` last.

    A single class is white, as the thesis has its binary masks.
    """
    names = list(subset.classes) + ([MIX] if subset.overlap == MIX else [])
    colours = [(255, 255, 255)] if len(names) == 1 else [_colour(i) for i in range(len(names))]
    listed = zip([BACKGROUND, *names], [(0, 0, 0), *colours], strict=True)
    return [ClassInfo(index, name, colour) for index, (name, colour) in enumerate(listed)]


def is_selected(
    present: Collection[str], subset: SubsetSettings, object_category: str | None
) -> bool:
    """Whether a photo with regions of the categories `present` belongs to the subset.

    The object's category never excludes a photo.
    """
    wanted = set(subset.categories)
    others = set(present) - wanted - set(subset.ignored) - {object_category}
    if others and subset.others == "exclude":
        return False
    return bool(wanted & set(present)) or subset.defect_free == "include"


def possible_labels(present: Collection[str], subset: SubsetSettings) -> list[int]:
    """The labels that `label_map` may give where regions of the categories `present` are."""
    labels = [
        index
        for index, categories in enumerate(subset.classes.values(), start=1)
        if any(category in present for category in categories)
    ]
    mixed = len(labels) > 1 and subset.overlap == MIX
    return [*labels, len(subset.classes) + 1] if mixed else labels


def label_map(
    masks: dict[str, np.ndarray], subset: SubsetSettings, size: tuple[int, int]
) -> np.ndarray | None:
    """One label a pixel from bool masks H×W of the categories.

    Args:
        masks: category → mask, all of one shape; categories of no class are skipped.
        subset: the classes.
        size: width and height where there is no mask.

    Returns:
        uint8 H×W, 0 = background; None where classes overlap and that excludes the photo.
    """
    layers = []
    for index, categories in enumerate(subset.classes.values(), start=1):
        parts = [masks[category] for category in categories if category in masks]
        if parts:
            # reduce would copy a single part, and that is what most photos have
            layers.append((index, np.logical_or.reduce(parts) if len(parts) > 1 else parts[0]))
    if not layers:
        return np.zeros((size[1], size[0]), np.uint8)
    labels = layers[0][1].view(np.uint8) * np.uint8(layers[0][0])
    if len(layers) == 1:
        return labels
    for index, layer in layers[1:]:
        labels[layer] = index
    claims = np.sum([layer for _, layer in layers], axis=0, dtype=np.uint8)
    if claims.max() < 2:
        return labels
    return _OVERLAP[subset.overlap](labels, layers, claims > 1, subset)


def _mixed(labels: np.ndarray, _layers: list, overlap: np.ndarray, subset: SubsetSettings):
    labels[overlap] = len(subset.classes) + 1
    return labels


def _first(labels: np.ndarray, layers: list, _overlap: np.ndarray, _subset: SubsetSettings):
    for index, layer in reversed(layers):
        labels[layer] = index
    return labels


_OVERLAP: dict[str, Callable] = {
    "mix": _mixed,
    "first": _first,
    "last": lambda labels, _layers, _overlap, _subset: labels,
    "exclude": lambda _labels, _layers, _overlap, _subset: None,
}


def check_subset(name: str, subset: SubsetSettings, reading: Reading) -> None:
    """Check that the data set has the categories of the subset.

    Raises:
        UserError: it lacks one; lists those it has.
    """
    for field, listed in [*subset.classes.items(), (None, subset.ignored)]:
        missing = [category for category in listed if category not in reading.categories]
        if missing:
            where = f"subsets.{name}." + ("ignored" if field is None else f"classes.{field}")
            raise UserError(
                f"{where}: the data set has no category {', '.join(map(repr, missing))}; "
                f"it has: {', '.join(reading.categories) or 'none'}"
            )


def subset_table(
    reading: Reading, subsets: dict[str, SubsetSettings], chosen: str, object_category: str | None
) -> str:
    """How many photos each subset has in this data set, beside the expected count; → = chosen."""
    width = max(map(len, subsets))
    lines = [f"  {'subset':{width}}  {'photos':>7} {'expected':>9}  classes"]
    for name, subset in subsets.items():
        missing = [c for c in subset.categories if c not in reading.categories]
        total = sum(is_selected(r.categories, subset, object_category) for r in reading.records)
        count = "–" if missing else f"{'≤' if subset.overlap == 'exclude' else ''}{total}"
        expected = "" if subset.expected_count is None else str(subset.expected_count)
        lacks = f"  (no category {', '.join(missing)} here)" if missing else ""
        classes = ", ".join(info.name for info in class_list(subset)[1:])
        mark = "→" if name == chosen else " "
        lines.append(f"{mark} {name:{width}}  {count:>7} {expected:>9}  {classes}{lacks}")
    return "\n".join(lines)


def _colour(index: int) -> tuple[int, int, int]:
    if index < len(_COLOURS):
        return _COLOURS[index]
    # The golden ratio spreads any number of further hues.
    hue = (index * 0.6180339887) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.65, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
