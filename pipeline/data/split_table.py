"""What each part of a split holds, as a table, as text, and as warnings."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from pipeline.data.splits import PARTS, SplitSettings
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo


def split_table(
    frame: pd.DataFrame, pixels: np.ndarray, classes: list[ClassInfo], unit: str
) -> pd.DataFrame:
    """One row a part: photos, groups, share, what was split, photos and pixels of each class.

    Args:
        frame: the manifest, N rows.
        pixels: N×C pixels of each class in the prepared masks.
        classes: the C classes.
        unit: what was kept together, `group` or `photo`.
    """
    rows = []
    for part in PARTS:
        inside = (frame["split"] == part).to_numpy()
        row = {
            "split": part,
            "images": int(inside.sum()),
            "groups": int(frame["group"][inside].nunique()),
            "share": inside.sum() / len(frame),
            "unit": unit,
        }
        for info in classes[1:]:
            row[f"images_{info.name}"] = int((pixels[inside, info.index] > 0).sum())
        for info in classes:
            row[f"pixels_{info.name}"] = int(pixels[inside, info.index].sum())
        rows.append(row)
    return pd.DataFrame(rows)


def describe_split(table: pd.DataFrame, classes: list[ClassInfo], pairs: str = "photos") -> str:
    """The split as text: how much of the photos (or windows), groups and classes each part has."""
    figures = {pairs: "images", "groups": "groups"}
    for info in classes[1:]:
        figures[f"{info.name}: {pairs}"] = f"images_{info.name}"
        figures[f"{info.name}: pixels"] = f"pixels_{info.name}"
    width = max(map(len, figures))
    lines = [f"split by {table['unit'].iloc[0]}".ljust(width + 2)]
    lines[0] += "".join(f"{part:>17}" for part in table["split"])
    for title, column in figures.items():
        total = max(int(table[column].sum()), 1)
        cells = [f"{count:>9} {count / total:>7.1%}" for count in table[column]]
        lines.append(f"  {title:{width}}" + "".join(cells))
    return "\n".join(lines)


def tell_missing_classes(
    table: pd.DataFrame, classes: Iterable[str], settings: SplitSettings
) -> list[str]:
    """Warnings of classes that no photo of a part shows.

    Args:
        table: as `split_table` gives it.
        classes: those that the user names; the class `mix` of overlaps may be missing.
        settings: the split.

    Raises:
        UserError: the training part lacks one, so nothing can learn it.
    """
    shown = table.set_index("split")
    warnings = []
    for name in classes:
        counts = shown[f"images_{name}"]
        for part in PARTS:
            if getattr(settings, part) == 0 or counts[part] > 0:
                continue
            held = ", ".join(f"{other} {counts[other]}" for other in PARTS)
            if part == "train" and not settings.may_miss_classes:
                raise UserError(
                    f"split.train: got no photo of class {name} (photos: {held}), expected one at "
                    "least; label more photos or groups that show it, try another split.fold or "
                    "seed, or take the class out of the subset"
                )
            warnings.append(
                f"WARNING: no photo of class {name} in {part} (photos: {held}): "
                "its score cannot be told there"
            )
    return warnings
