"""What the audit tells: paragraphs for the user, figures for the report, pairs as a picture."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.audit.chance import FEWEST_PHOTOS
from pipeline.audit.leakage import Leakage, groups_are_given
from pipeline.audit.names import NameHint
from pipeline.audit.similarity import FLIPS
from pipeline.io.images import read_image

# With fewer groups in all, a test part of a fifth holds fewer than 20, and figures swing.
FEW_GROUPS = 100
_PAIRS_A_ROW = 4
_LONGEST_NAME = 34
_REMEDY = (
    "copy data/audit/groups.csv into the data set (dataset.path), look through it, set "
    "split.group_csv: groups.csv and split.group_pattern: null, and run dvc repro again"
)


def read_photos(prepared: Path, frame: pd.DataFrame) -> np.ndarray:
    """The photos of a manifest's rows, uint8 N×H×W×3: no masks.

    Raises:
        UserError: a file is missing or is no image.
    """
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(lambda name: read_image(prepared / name), frame["image"])))


def across_groups(leakage: Leakage) -> pd.DataFrame:
    """The near-identical pairs that the groups there are do not keep together."""
    return leakage.pairs[~leakage.pairs["same_group"].astype(bool)].reset_index(drop=True)


def worth_seeing(leakage: Leakage, total_pairs: int) -> pd.DataFrame:
    """Pairs for a picture: one of each proposed group before a second, across the split first."""
    pairs = across_groups(leakage)
    group = pairs["first_source"].map(leakage.groups.set_index("image")["group"])
    order = pairs.assign(elsewhere=~pairs["across_splits"].astype(bool))
    order["turn"] = order.groupby([group, "elsewhere"]).cumcount()
    chosen = order.sort_values(["elsewhere", "turn"], kind="stable").index[:total_pairs]
    return pairs.loc[chosen]


def summarise(leakage: Leakage, frame: pd.DataFrame, hint: NameHint | None) -> dict:
    """Figures of the audit, ready for JSON."""
    pairs = across_groups(leakage)
    leaks = pairs[pairs["across_splits"].astype(bool)]
    sides = leaks.apply(lambda row: " and ".join(_ordered(row)), axis=1) if len(leaks) else leaks
    tested = set(frame.loc[frame["split"] == "test", "id"])
    leaked = set(leaks["first"]) | set(leaks["second"])
    return {
        "photos": len(frame),
        "pairs_compared": leakage.total_pairs,
        "groups_given": groups_are_given(frame),
        "groups": int(frame["group"].nunique()),
        "pairs_within_groups": len(leakage.pairs) - len(pairs),
        "pairs_across_groups": len(pairs),
        "pairs_across_splits": len(leaks),
        "sides": {str(k): int(n) for k, n in sides.value_counts().items()} if len(leaks) else {},
        "test_photos": len(tested),
        "test_photos_leaked": len(tested & leaked),
        "groups_proposed": int(leakage.groups["group"].nunique()),
        "name_hint": None if hint is None else asdict(hint),
    }


def _ordered(row: pd.Series) -> list[str]:
    return sorted((row["first_split"], row["second_split"]), key=("train", "val", "test").index)


def tell(leakage: Leakage, figures: dict) -> list[str]:
    """What the user should know, a paragraph an item."""
    if leakage.too_few:
        return [f"{figures['photos']} photos: fewer than {FEWEST_PHOTOS} are not compared"]
    found = figures["pairs_across_groups"]
    lines = [
        f"{figures['photos']} photos, {figures['pairs_compared']:,} pairs compared: {found} "
        "near-identical pairs across groups"
    ]
    if figures["pairs_across_splits"]:
        sides = ", ".join(f"{count} {side}" for side, count in figures["sides"].items())
        lines.append(
            f"WARNING: {figures['pairs_across_splits']} near-identical pairs lie on two sides of "
            f"the split ({sides}); {figures['test_photos_leaked']} of {figures['test_photos']} "
            "test photos have a near-identical photo on another side, so test figures flatter. "
            f"Look at data/audit/pairs.png; to keep such photos together, {_REMEDY}"
        )
    elif found:
        lines.append(
            f"WARNING: this split keeps the {found} near-identical pairs on one side by luck, "
            f"another seed or fold will not; {_REMEDY}"
        )
    if found and figures["groups_proposed"] < FEW_GROUPS:
        lines.append(
            f"the proposal has {figures['groups_proposed']} groups: with so few, figures swing "
            "with the draw; set split.folds: 5 and compare split.fold 0 to 4"
        )
    hint = figures["name_hint"]
    if hint is not None:
        lines.append(
            "WARNING: no groups are given, but the file names seem to say what was photographed: "
            f"split.group_pattern: {hint['pattern']} gives {hint['groups']} groups, and "
            f"{hint['agreement']:.0%} of the photos have the same number as the photo nearest in "
            f"colour (by chance {hint['chance']:.1%}); set it if the number names the object"
        )
    return lines


def draw_pairs(photos: np.ndarray, frame: pd.DataFrame, pairs: pd.DataFrame, path: Path) -> None:
    """The pairs side by side, the second photo flipped onto the first, as PNG.

    Args:
        photos: uint8 N×H×W×3.
        frame: N rows of the manifest.
        pairs: those to draw, in order; without any the picture says so.
        path: of the PNG.
    """
    rows = max(1, -(-len(pairs) // _PAIRS_A_ROW))
    figure = Figure(figsize=(3.4 * _PAIRS_A_ROW, 2.1 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, _PAIRS_A_ROW, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    if pairs.empty:
        axes[0].text(0, 0.5, "no near-identical photos across groups")
    row_of = {name: row for row, name in enumerate(frame["id"])}
    for axis, pair in zip(axes, pairs.to_dict("records"), strict=False):
        first, second = photos[row_of[pair["first"]]], photos[row_of[pair["second"]]]
        flips = [turned - 1 for turned in FLIPS[pair["flip"]]]  # of one photo: no batch axis
        gap = np.full((first.shape[0], max(1, first.shape[1] // 32), 3), 255, np.uint8)
        axis.imshow(np.concatenate([first, gap, np.flip(second, flips)], axis=1))
        flip = "" if pair["flip"] == "none" else f", {pair['flip']}"
        first_line, second_line = (
            f"{_short(pair[side])} ({pair[side + '_split']})" for side in ("first", "second")
        )
        title = f"{first_line}\n{second_line} {pair['correlation']:.2f}{flip}"
        axis.set_title(title, fontsize=7)
    figure.savefig(path, dpi=110)


def _short(name: str) -> str:
    """The end of a long id, which tells more than its beginning."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
