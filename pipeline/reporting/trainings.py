"""The page's section on trainings: curves, sample grids and figures of every model in use.

Where a training kept several candidates, their grids and what they were chosen by stand side by
side (SynthSet, "Weight Selection": no single figure finds the best weights).
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.io.outs import written_by
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
    "Super-resolution": MODELS / "superres",
}
STAGES = {folder: f"train-{folder.name.replace('_', '-')}" for folder in TRAININGS.values()}
STAGES[MODELS / "image_dm_finetuned"] = "finetune-image-dm"
CHOSEN_BY = {
    "train_loss": "lowest training loss",
    "val_loss": "lowest validation loss",
    "colour_divergence": "lowest divergence of colours",
    "every": "last evaluation",
    "last": "last step",
}


def section(folder: Path, sampled: str) -> list[dict[str, Any]]:
    """What page.html shows of each training; copies the grids into `folder`.

    A model that the method does not use has no curve (its folder holds only unused.json).

    Args:
        folder: the page's.
        sampled: weights of which moment drew the synthetic photos: sampling.checkpoint.
    """
    content = []
    for name, source in TRAININGS.items():
        if not (source / "curve.csv").exists():
            continue
        grid = _last_grid(source)
        if grid:
            (folder / "images").mkdir(exist_ok=True)
            shutil.copyfile(grid, folder / "images" / f"{source.name}.png")
        curve = _curve(source)
        content.append(
            {
                "name": name,
                "chart": drawing(figures.training_chart(curve)),
                "divergence": _divergence(curve),
                "candidates": _candidates(folder, source, sampled),
                "grid": f"images/{source.name}.png" if grid else None,
                "step": _step(grid) if grid else None,
                "figures": _figures(source),
            }
        )
    return content


def image_curve() -> pd.DataFrame:
    """The image model's curve, thinned; a single row of nothing for a method without training."""
    if not (IMAGE_DM / "curve.csv").exists():
        # DVC draws no plot of a table without rows and warns of each
        return pd.DataFrame([{"step": 0, "loss": None, "val_loss": None}])
    return _curve(IMAGE_DM)


def _curve(source: Path) -> pd.DataFrame:
    path = source / "curve.csv"
    with written_by(STAGES[source], path):
        return tables.training_curve(pd.read_csv(path))


def _divergence(curve: pd.DataFrame) -> str | None:
    if "colour_divergence" not in curve or curve["colour_divergence"].isna().all():
        return None
    return drawing(figures.divergence_chart(curve))


def _candidates(folder: Path, source: Path, sampled: str) -> list[dict[str, Any]]:
    """Name, figure and grid of all weights that were kept; none if only best and last were."""
    content = _measured(source)
    kept = content.get("candidates")
    if not kept:
        return []
    best = {"step": content["best_step"], "value": content["best_value"]}
    entries = {"best": best, **kept, "last": {"step": content["steps"], "value": None}}
    rows = []
    for name, entry in entries.items():
        picture = f"images/{source.name}-{name}.png"
        (folder / "images").mkdir(exist_ok=True)
        shutil.copyfile(source / "candidates" / f"{name}.png", folder / picture)
        reason = CHOSEN_BY[content["monitor"] if name == "best" else name]
        rows.append(
            {"name": name, "reason": reason, "picture": picture, "used": name == sampled} | entry
        )
    return rows


def _figures(source: Path) -> list[tuple[str, str]]:
    """Name and value of what the training measured at its end."""
    content = facts.flat({"training": _measured(source)})
    return [row for rows in content.values() for row in rows]


def _measured(source: Path) -> dict[str, Any]:
    path = source / "training.json"
    if not path.exists():
        return {}
    with written_by(STAGES[source], path):
        return json.loads(path.read_text(encoding="utf-8"))


def _last_grid(source: Path) -> Path | None:
    grids = sorted((source / "samples").glob("step_*.png"), key=_step)
    return grids[-1] if grids else None


def _step(path: Path) -> int:
    return int(re.sub(r"\D", "", path.stem) or 0)
