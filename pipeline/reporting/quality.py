"""The page's section on the quality of the synthetic set: what evaluate-samples found, in words."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.io.outs import written_by

GENERATION = Path("data/generation")
STAGE = "evaluate-samples"
FIGURES = GENERATION / "figures.csv"
COLUMNS = ["name", "value", "deviation", "reference", "reference_deviation", "note"]
# of each figure: its name, and what it says of the synthetic photos
NAMES = {
    "kid": ("KID", "distance of the photos from the training photos; 0 is as near as real ones"),
    "fid": ("FID", "likewise, but the larger the fewer photos there are"),
    "precision": ("Precision", "share of synthetic photos that lie among the training photos"),
    "recall": ("Recall", "share of training photos that lie among the synthetic ones"),
    "colour_divergence": ("Divergence of colours", "0 where the colours are equal, at most 0.69"),
    "diversity_of_a_mask": ("Diversity, one mask", "how far two photos of one mask lie apart"),
    "diversity": ("Diversity, any mask", "how far any two photos lie apart"),
    "alignment": ("Alignment", "defect IoU of mask and what segmenters find that know neither"),
}


def read_quality() -> pd.DataFrame:
    """The table that evaluate-samples wrote.

    Raises:
        UserError: it did not, or the table is damaged.
    """
    with written_by(STAGE, FIGURES):
        return pd.read_csv(FIGURES)[COLUMNS]


def section(table: pd.DataFrame) -> list[dict[str, object]]:
    """A row for each figure: name, meaning, the synthetic set's value, the real one's, a note."""
    return [
        {
            "name": NAMES[row["name"]][0],
            "meaning": NAMES[row["name"]][1],
            "value": row["value"],
            "deviation": row["deviation"],
            "real": row["reference"],
            "real_deviation": row["reference_deviation"],
            "note": row["note"] if isinstance(row["note"], str) else "",
        }
        for row in table.to_dict("records")
    ]


def copies(folder: Path) -> dict[str, Any]:
    """What was found of copies of training photos; copies the picture into `folder`.

    Returns:
        The summary of evaluate-samples, and `picture`, relative to the page.
    """
    path = GENERATION / "memorisation.json"
    with written_by(STAGE, path):
        summary = json.loads(path.read_text(encoding="utf-8"))
        measured = summary["measured"]
    if not measured:
        return summary
    (folder / "images").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(GENERATION / "nearest.png", folder / "images/nearest.png")
    return summary | {"picture": "images/nearest.png"}
