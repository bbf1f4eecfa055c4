"""The page's section on masks: how the synthetic pairs' masks compare with the real ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.io.images import read_mask, read_silhouette, write_image
from pipeline.io.manifests import ClassInfo
from pipeline.reporting import figures, gallery
from pipeline.reporting.page import drawing, figure

MASKS_SHOWN, SHEET_ROWS = 24, 4
FAULTS = {
    "no_object": "no object",
    "object_size": "object far smaller or larger than any real one",
    "object_in_pieces": "object in pieces",
    "object_shape": "object less convex than any real one",
    "outside_object": "defect outside the object",
    "empty": "no defect at all",
    "defect_size": "far fewer or more defect pixels than any real mask",
}


@dataclass(frozen=True)
class MaskResults:
    """What was measured on the masks of both sides; the keys of the dicts are the sides.

    table: class, measure, real, synthetic, ks, wasserstein.
    regions: class_index and pixels of each region.
    objects: the objects' areas as shares of the frame; empty without silhouettes.
    places: float C×H×W, in which share of the masks a pixel shows the class.
    """

    table: pd.DataFrame
    regions: dict[str, pd.DataFrame]
    objects: dict[str, np.ndarray]
    places: dict[str, np.ndarray]


def read_masks(folder: Path, frame: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Each row's mask (uint8 H×W) and silhouette (bool H×W, or None), one at a time."""
    for row in frame.to_dict("records"):
        silhouette = None if pd.isna(row["object"]) else read_silhouette(folder / row["object"])
        yield read_mask(folder / row["mask"]), silhouette


def section(
    folder: Path,
    results: MaskResults,
    sides: dict[str, tuple[Path, pd.DataFrame]],
    classes: list[ClassInfo],
    seed: int,
) -> dict[str, Any]:
    """What page.html shows of the masks; writes the pictures into `folder`.

    Args:
        folder: of the page.
        results: see there.
        sides: `real` and `synthetic` → folder and rows of its manifest.
        classes: background first.
        seed: the project's.
    """
    sheets = {}
    for name, (source, frame) in sides.items():
        rows = gallery.choose(frame, MASKS_SHOWN, seed, f"masks, {name}")
        sheets[f"{name} masks"] = [
            [gallery.draw_mask(source, row, classes)] for _, row in rows.iterrows()
        ]
        picture = gallery.sheet({"": sheets[f"{name} masks"]}, SHEET_ROWS)
        write_image(folder / f"images/masks_{name}.png", picture)
    write_image(folder / "masks.png", gallery.sheet(sheets, SHEET_ROWS))
    return {
        "rows": _rows(results.table),
        "sizes": drawing(figures.size_chart(results.regions, results.objects, classes)),
        "places": drawing(figures.places_chart(results.places, classes)),
        "sheets": {name: f"images/masks_{name}.png" for name in sides},
        "draws": draws(sides["synthetic"][1]),
        "has_silhouettes": all(len(areas) for areas in results.objects.values()),
    }


def draws(manifest: pd.DataFrame) -> dict[str, Any] | None:
    """What became of the mask model's draws; None if no mask model drew the masks.

    Args:
        manifest: of the synthetic set; `mask_rejected` holds a fault for each draw that was thrown
            away before the mask at hand, `mask_fault` the fault of that one, or null.

    Returns:
        `total` draws, `implausible` (how many of them), `share`, and `faults`: name, thrown_away,
        kept, share of all draws.
    """
    columns = ("mask_rejected", "mask_fault")
    if any(column not in manifest for column in columns):
        return None
    if not manifest["mask_id"].str.startswith("drawn_").all():
        return None
    rejected = manifest["mask_rejected"].explode().dropna()
    kept = manifest["mask_fault"].dropna()
    total = len(manifest) + len(rejected)
    names = [*FAULTS, *sorted({*rejected, *kept} - set(FAULTS))]
    faults = [
        {
            "name": FAULTS.get(name, name),
            "thrown_away": int((rejected == name).sum()),
            "kept": int((kept == name).sum()),
        }
        for name in names
    ]
    faults = [row for row in faults if row["thrown_away"] + row["kept"]]
    for row in faults:
        row["share"] = (row["thrown_away"] + row["kept"]) / total
    implausible = len(rejected) + len(kept)
    return {
        "total": total,
        "implausible": implausible,
        "share": implausible / total,
        "faults": faults,
    }


def csv_table(results: MaskResults, manifest: pd.DataFrame) -> pd.DataFrame:
    """The table as DVC shows and plots it: `what` joins class and measure in one label."""
    table = results.table
    drawn = draws(manifest)
    if drawn is not None:
        row = {"class": "mask", "measure": "implausible draws", "synthetic": drawn["share"]}
        table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
    return table.assign(what=table["class"] + ": " + table["measure"])


def _rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """The table in words; shares in per cent."""
    rows = []
    for row in table.to_dict("records"):
        is_share = row["measure"].startswith("share")
        rows.append(
            {
                "class": row["class"],
                "measure": row["measure"],
                "ks": figure(row["ks"], 2),
                **{
                    name: _text(row[name], is_share)
                    for name in ("real", "synthetic", "wasserstein")
                },
            }
        )
    return rows


def _text(number: float, is_share: bool) -> str:
    if pd.isna(number):
        return figure(number)
    if is_share:
        return f"{figure(100 * number, 1)} %"
    return figure(number, 1 if number >= 10 else 2)
