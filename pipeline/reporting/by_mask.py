"""A training mask with every photo that was drawn for it: does the model vary, and does it obey?"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.io.manifests import ClassInfo
from pipeline.reporting.gallery import Tile, write_tiles
from pipeline.reporting.settings import ReportSettings

FEWEST_SAMPLES = 2  # one photo of a mask says nothing on how photos of it differ


@dataclass(frozen=True)
class MaskSamples:
    """A training pair and what was drawn for its mask, which `masks.source` may have moved."""

    real: Tile
    drawn: list[Tile]
    total: int  # of which `drawn` are the first


def section(
    folder: Path,
    settings: ReportSettings,
    sides: dict[str, tuple[Path, pd.DataFrame]],
    classes: list[ClassInfo],
) -> list[MaskSamples]:
    """The masks that most photos were drawn for, with these photos; writes the pictures.

    Args:
        folder: the page's.
        settings: how many masks, and how many photos of each.
        sides: `real` and `synthetic`: the set's folder and the rows of its manifest.
        classes: of both.

    Returns:
        Empty for models that draw masks with their photos, or where each mask was drawn for once.
    """
    (prepared, train), (source, synthetic) = sides["real"], sides["synthetic"]
    known = synthetic[synthetic["mask_id"].isin(train["id"])]
    counts = known["mask_id"].value_counts()
    counts = (
        counts[counts >= FEWEST_SAMPLES].sort_index().sort_values(ascending=False, kind="stable")
    )
    shown = []
    for number, (mask_id, total) in enumerate(counts.head(settings.masks).items()):
        rows = known[known["mask_id"] == mask_id].sort_values("id").head(settings.photos_of_a_mask)
        prefix = f"of_mask_{number:02d}"
        own = train[train["id"] == mask_id]
        [real] = write_tiles(folder, f"{prefix}_real", prepared, own, classes)
        drawn = write_tiles(folder, f"{prefix}_drawn", source, rows, classes)
        shown.append(MaskSamples(real, drawn, int(total)))
    return shown
