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
from pipeline.data.problems import Problem, UnusableError, skip_or_stop
from pipeline.data.readers import DatasetSettings
from pipeline.data.records import Reading, Record
from pipeline.data.split_table import describe_split, split_table, tell_missing_classes
from pipeline.data.splits import Split, SplitSettings, find_groups, split_photos
from pipeline.data.subsets import SubsetSettings, check_subset, class_list, is_selected
from pipeline.io.atomic import write_text
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest

COLUMNS = [
    *("id", "image", "mask", "object", "split", "group", "source", "classes"),
    *("width", "height", "image_sha256", "mask_sha256"),
]
WINDOW_COLUMNS = [*COLUMNS, "left", "top"]  # of the photo's pixels, where image.tile cuts photos


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
        UserError: a category is unknown, no photo is left, there are too few groups to split, or
            a class is missing in the training part.
        ProblemsError: the data set has faults, all of which it lists, and `on_problem` is `stop`.
    """
    _check_subset(reading, choice, folder)
    sources = [record.source for record in _select(reading, choice)]
    groups, without_group = _find_groups(reading, sources, choice)
    if choice.dataset.on_problem == "skip":
        sources = [source for source in sources if source in groups]
    classes = class_list(choice.subset)
    outcomes = _prepare(reading, sources, choice, classes, folder)
    problems = reading.problems + without_group + [o.problem for o in outcomes if o.problem]
    skipped = skip_or_stop(problems, choice.dataset.path, choice.dataset.on_problem, folder)

    kept = [outcome for outcome in outcomes if outcome.row is not None]
    pairs = "photos" if choice.image.tile is None else "windows"
    losses = _losses(outcomes, classes, pairs)
    if not kept:
        raise UserError(
            f"{choice.dataset.path}: no photo is left: {'; '.join([*skipped, *losses])}"
        )
    pixels = np.array([outcome.pixels for outcome in kept])  # N×C
    split = _split(kept, groups, choice)
    frame = _manifest(kept, groups, split.parts, classes, choice.image)
    table = split_table(frame, pixels, classes, split.unit)
    missing = tell_missing_classes(table, choice.subset.classes, choice.split)
    write_classes(folder, classes)
    write_manifest(folder, frame)
    write_text(folder / "split.csv", table.to_csv(index=False, float_format="%.4f"))
    losses = [*losses, *_copies_across(frame), *missing]
    notes = [*reading.notes, *_windows_told(frame, choice.image), *losses, *split.notes]
    return [*notes, *skipped, describe_split(table, classes, pairs)]


def _find_groups(
    reading: Reading, sources: list[str], choice: Choice
) -> tuple[dict[str, str], list[Problem]]:
    """As `find_groups`; what the reader found is told with a table that cannot be used."""
    try:
        return find_groups(sources, choice.split, Path(choice.dataset.path))
    except UnusableError as error:
        raise UnusableError(error.root, [*reading.problems, *error.problems]) from None


def _prepare(
    reading: Reading, sources: list[str], choice: Choice, classes: list[ClassInfo], folder: Path
) -> list[Outcome]:
    """Write the photos named; all that can be found wrong with them is in the outcomes."""
    # Ids over the whole data set, so that a photo keeps its id in every subset.
    ids = make_ids([record.source for record in reading.records]) if reading.records else []
    by_source = {r.source: (r, name) for r, name in zip(reading.records, ids, strict=True)}
    chosen = [by_source[source] for source in sources]
    colours = [info.colour for info in classes]
    job = Job(folder, choice.subset, choice.image, choice.dataset.object, colours)
    return prepare_photos([r for r, _ in chosen], [name for _, name in chosen], job)


def _check_subset(reading: Reading, choice: Choice, folder: Path) -> None:
    """Check the categories; problems of photos are told first, as they may be the cause."""
    try:
        check_subset(choice.subset_name, choice.subset, reading)
    except UserError:
        skip_or_stop(reading.problems, choice.dataset.path, choice.dataset.on_problem, folder)
        raise


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


def _split(kept: list[Outcome], groups: dict[str, str], choice: Choice) -> Split:
    """Split the photos, each with what all its windows show: no photo lies on two sides.

    Args:
        kept: the pairs, one a photo or one a window.
        groups: the group of each photo.
        choice: shares, folds, and whether photos are cut.

    Returns:
        The part of each pair, and what was kept together.

    Raises:
        UserError: there are fewer groups than parts.
    """
    number: dict[str, int] = {}  # of each photo
    member = [number.setdefault(outcome.source, len(number)) for outcome in kept]
    # Categories and not classes: a binary set, too, wants every kind of defect on each side.
    shown = [[c in outcome.shown for c in choice.subset.categories] for outcome in kept]
    figures = np.column_stack([shown, [outcome.pixels[1:] for outcome in kept]])
    if choice.image.tile is not None:
        figures = np.column_stack([figures, np.ones(len(kept), int)])  # shares hold for windows
    of_photos = np.zeros((len(number), figures.shape[1]), figures.dtype)
    np.add.at(of_photos, member, figures)
    split = split_photos(
        [groups[source] for source in number], of_photos, choice.split, choice.seed
    )
    return Split([split.parts[index] for index in member], split.unit, split.notes)


def _windows_told(frame: pd.DataFrame, image: ImageSettings) -> list[str]:
    if image.tile is None:
        return []
    total = frame["source"].nunique()
    return [f"image.tile: {len(frame)} windows of {image.tile} px from {total} photos"]


def _manifest(
    kept: list[Outcome],
    groups: dict[str, str],
    parts: list[str],
    classes: list[ClassInfo],
    image: ImageSettings,
) -> pd.DataFrame:
    frame = pd.DataFrame([outcome.row for outcome in kept])
    frame["split"], frame["group"] = parts, frame["source"].map(groups)
    frame["classes"] = [
        [info.name for info in classes[1:] if outcome.pixels[info.index] > 0] for outcome in kept
    ]
    return frame[COLUMNS if image.tile is None else WINDOW_COLUMNS]


_LOSSES = {
    "overlap": "photos left out, as their classes overlap",
    "vanished": "{pairs} left out, as all their regions vanish at this size",
    "empty": "windows left out, as they show no region and defect_free is exclude",
    "no_object": "windows left out, as the object is not in them",
}
_LISTED = ("vanished",)


def _losses(outcomes: list[Outcome], classes: list[ClassInfo], pairs: str) -> list[str]:
    lines = []
    for reason, text in _LOSSES.items():
        gone = [o.source for o in outcomes if o.dropped == reason]
        if gone:
            more = ", …" if len(gone) > 5 else ""
            listed = f": {', '.join(gone[:5])}{more}" if reason in _LISTED else ""
            lines.append(f"{len(gone)} {text.format(pairs=pairs)}{listed}")
    for info in classes[1:]:
        total = sum(info.index in o.vanished for o in outcomes if o.dropped is None)
        if total:
            lines.append(f"{info.name} vanishes at this size in {total} {pairs} that stay")
    return lines


def _copies_across(frame: pd.DataFrame) -> list[str]:
    """A warning for identical photos on two sides of the split, which no group told of."""
    sides = frame.groupby("image_sha256")["split"].nunique()
    copies = frame[frame["image_sha256"].isin(sides[sides > 1].index)]
    if copies.empty:
        return []
    shown = ", ".join(copies["source"].sort_values().head(4))
    return [f"WARNING: {len(copies)} photos have an identical copy on another side: {shown}, …"]
