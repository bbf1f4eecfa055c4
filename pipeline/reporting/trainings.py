"""The page's section on trainings: curve, last sample grid and figures of every model in use."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.reporting import facts, figures, tables
from pipeline.reporting.page import drawing

MODELS = Path("data/models")
IMAGE_DM = MODELS / "image_dm"
TRAININGS = {
    "Image model": IMAGE_DM,
    "Image model, finetuning": MODELS / "image_dm_finetuned",
    "Mask model": MODELS / "mask_dm",
    "Autoencoder of photos": MODELS / "autoencoder",
    "Autoencoder of masks": MODELS / "mask_autoencoder",
}


def section(folder: Path) -> list[dict[str, Any]]:
    """What page.html shows of each training; copies the grids into `folder`.

    A model that the method does not use has no curve (its folder holds only unused.json).
    """
    content = []
    for name, source in TRAININGS.items():
        if not (source / "curve.csv").exists():
            continue
        grid = _last_grid(source)
        if grid:
            (folder / "images").mkdir(exist_ok=True)
            shutil.copyfile(grid, folder / "images" / f"{source.name}.png")
        curve = tables.training_curve(pd.read_csv(source / "curve.csv"))
        content.append(
            {
                "name": name,
                "chart": drawing(figures.training_chart(curve)),
                "grid": f"images/{source.name}.png" if grid else None,
                "step": _step(grid) if grid else None,
                "figures": _figures(source / "training.json"),
            }
        )
    return content


def _figures(path: Path) -> list[tuple[str, str]]:
    """Name and value of what the training measured at its end."""
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    return [row for rows in facts.flat({"training": content}).values() for row in rows]


def _last_grid(source: Path) -> Path | None:
    grids = sorted((source / "samples").glob("step_*.png"), key=_step)
    return grids[-1] if grids else None


def _step(path: Path) -> int:
    return int(re.sub(r"\D", "", path.stem) or 0)
