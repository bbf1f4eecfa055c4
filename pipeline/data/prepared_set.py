"""The prepared set as a whole: choose the photos, prepare and split them, write the tables.

Everything is written to a folder that takes its place only if nothing was wrong; what was wrong
is told all at once.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.fitting import ImageSettings
from pipeline.data.identifiers import make_ids
from pipeline.data.prepare import Job, Outcome, prepare_photos
from pipeline.data.readers import DatasetSettings
from pipeline.data.records import Reading, Record
from pipeline.data.splits import PARTS, Split, SplitSettings, find_groups, split_photos
from pipeline.data.subsets import SubsetSettings, check_subset, class_list, is_selected
from pipeline.io.atomic import write_text
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest

COLUMNS = [
    *("id", "image", "mask", "object", "split", "group", "source", "classes"),
    *("width", "height", "image_sha256", "mask_sha256"),
]


@dataclass(frozen=True)
class Choice:
    """Everything that decides what the prepared set holds."""

    dataset: DatasetSettings
    subset_name: str
    subset: SubsetSettings
    image: ImageSettings
    split: SplitSettings
    seed: int


def write_prepared_set(reading: Reading, choice: Choice, folder: Path) -> list[str]:
    """Write the prepared set into the empty `folder`.

    Returns:
        What to tell the user, one paragraph an item.

    Raises:
        UserError: a category is unknown, no photo is left, a photo has no group, or the data set
            has faults (all of them are listed).
    """
    check_subset(choice.subset_name, choice.subset, reading)
    records = _select(reading, choice)
    groups = find_groups([r.source for r in records], choice.split, Path(choice.dataset.path))
    ids = dict(zip([r.source for r in reading.records], _all_ids(reading), strict=True))
    classes = class_list(choice.subset)
    job = Job(
        folder, choice.subset, choice.image, choice.dataset.object, [c.colour for c in classes]
    )
    outcomes = prepare_photos(records, [ids[record.source] for record in records], job)
    _refuse_problems(reading, outcomes, choice)

    kept = [index for index, outcome in enumerate(outcomes) if outcome.row is not None]
    if not kept:
        raise UserError(f"no photo is left: {'; '.join(_losses(outcomes, classes))}")
    pixels = np.array([outcomes[index].pixels for index in kept])  # N×C
    groups = [groups[index] for index in kept]
    # Categories and not classes: a binary set, too, wants every kind of defect on each side.
    shown = [[c in records[index].categories for c in choice.subset.categories] for index in kept]
    figures = np.column_stack([shown, pixels[:, 1:]])
    split = split_photos(groups, figures, choice.split, choice.seed)
    frame = _manifest([outcomes[index].row for index in kept], groups, split, pixels, classes)
    table = split_table(frame, pixels, classes, split.unit)
    write_classes(folder, classes)
    write_manifest(folder, frame)
    write_text(folder / "split.csv", table.to_csv(index=False, float_format="%.4f"))
    losses = [*_losses(outcomes, classes), *_copies_across(frame)]
    return [*reading.notes, *losses, *split.notes, describe_split(table, classes)]


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


def describe_split(table: pd.DataFrame, classes: list[ClassInfo]) -> str:
    """The split as text: how much of the photos, groups and classes each part has."""
    figures = {"photos": "images", "groups": "groups"}
    for info in classes[1:]:
        figures[f"{info.name}: photos"] = f"images_{info.name}"
        figures[f"{info.name}: pixels"] = f"pixels_{info.name}"
    width = max(map(len, figures))
    lines = [f"split by {table['unit'].iloc[0]}".ljust(width + 2)]
    lines[0] += "".join(f"{part:>17}" for part in table["split"])
    for title, column in figures.items():
        total = max(int(table[column].sum()), 1)
        cells = [f"{count:>9} {count / total:>7.1%}" for count in table[column]]
        lines.append(f"  {title:{width}}" + "".join(cells))
    return "\n".join(lines)


def _select(reading: Reading, choice: Choice) -> list[Record]:
    records = [
        record
        for record in reading.records
        if is_selected(record.categories, choice.subset, choice.dataset.object_category)
    ]
    if not records and not reading.problems:
        raise UserError(
            f"subset: {choice.subset_name!r} selects none of {len(reading.records)} photos; "
            f"see subsets.{choice.subset_name} (others: {choice.subset.others})"
        )
    return records


def _all_ids(reading: Reading) -> list[str]:
    """Ids over the whole data set, so that a photo keeps its id in every subset."""
    return make_ids([record.source for record in reading.records]) if reading.records else []


def _refuse_problems(reading: Reading, outcomes: list[Outcome], choice: Choice) -> None:
    problems = reading.problems + [o.problem for o in outcomes if o.problem is not None]
    if problems:
        listed = "\n       ".join(problems)
        raise UserError(
            f"{len(problems)} faults in {choice.dataset.path}; mend or remove these files and "
            f"entries:\n       {listed}"
        )


def _manifest(
    rows: list[dict],
    groups: list[str],
    split: Split,
    pixels: np.ndarray,
    classes: list[ClassInfo],
) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    frame["split"], frame["group"] = split.parts, groups
    frame["classes"] = [[c.name for c in classes[1:] if row[c.index] > 0] for row in pixels]
    return frame[COLUMNS]


def _losses(outcomes: list[Outcome], classes: list[ClassInfo]) -> list[str]:
    lines = []
    overlapping = [o.source for o in outcomes if o.dropped == "overlap"]
    if overlapping:
        lines.append(f"{len(overlapping)} photos left out, as their classes overlap")
    gone = [o.source for o in outcomes if o.dropped == "vanished"]
    if gone:
        lines.append(
            f"{len(gone)} photos left out, as all their regions vanish at this size: "
            + ", ".join(gone[:5])
            + (", …" if len(gone) > 5 else "")
        )
    for info in classes[1:]:
        total = sum(info.index in o.vanished for o in outcomes)
        if total:
            lines.append(f"{info.name} vanishes at this size in {total} photos that stay")
    return lines


def _copies_across(frame: pd.DataFrame) -> list[str]:
    """A warning for identical photos on two sides of the split, which no group told of."""
    sides = frame.groupby("image_sha256")["split"].nunique()
    copies = frame[frame["image_sha256"].isin(sides[sides > 1].index)]
    if copies.empty:
        return []
    shown = ", ".join(copies["source"].sort_values().head(4))
    return [f"WARNING: {len(copies)} photos have an identical copy on another side: {shown}, …"]
