"""Gathers what the page shows from the project's folders, and writes the pictures beside it."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.io.errors import UserError
from pipeline.io.images import write_image
from pipeline.io.manifests import ClassInfo, read_classes, read_manifest, read_split
from pipeline.reporting import facts, figures, gallery, tables
from pipeline.reporting.page import drawing
from pipeline.reporting.settings import ReportSettings

PREPARED, SYNTHETIC = Path("data/prepared"), Path("data/synthetic")
SCORES = Path("data/filtered/scores.parquet")
IMAGE_DM, FINETUNED = Path("data/models/image_dm"), Path("data/models/image_dm_finetuned")
SHEET_PAIRS, SHEET_ROWS = 8, 4
CLASS_FIGURES = ["iou", "dice", "precision", "recall"]


@dataclass(frozen=True)
class Results:
    """The segmenters' results in the forms that the page needs.

    counts: pixel counts per run, seed, test photo and class.
    curves: architecture, mix, seed, step, val_defect_iou.
    scores: architecture, mix, seed, defect_iou, miou.
    class_scores: architecture, mix, seed, class, iou, dice, precision, recall; defects only.
    table: the result of `tables.mix_table`.
    headline: the result of `tables.summary`.
    baselines: the mix that each mix is compared with.
    """

    counts: pd.DataFrame
    curves: pd.DataFrame
    scores: pd.DataFrame
    class_scores: pd.DataFrame
    table: pd.DataFrame
    headline: dict[str, dict[str, Any]]
    baselines: dict[str, str]


def gather(
    folder: Path, params: dict[str, Any], settings: ReportSettings, results: Results
) -> dict[str, Any]:
    """Everything page.html asks for; writes the pictures into `folder`."""
    classes, synthetic = read_classes(PREPARED), read_manifest(SYNTHETIC)
    return {
        "subset": params["subset"],
        "method": facts.method(params, synthetic),
        "reach": facts.reach(results.counts, results.scores),
        "baseline": params["segmenters"]["baseline"],
        "headline": results.headline,
        "classes": classes,
        "architectures": _architectures(params, results),
        "class_table": _class_table(results.class_scores),
        "kinds": [(kind, figures.THEMED[c], mark) for kind, (c, mark) in figures.KINDS.items()],
        **_galleries(folder, params["seed"], settings, classes, synthetic),
        "trainings": _trainings(folder),
        "split": _split_table(params["subsets"][params["subset"]]),
        "parameters": facts.flat(tables.parameters_in_use(params)),
    }


def synthetic_mixes(params: dict[str, Any]) -> set[str]:
    """The names of the mixes that hold synthetic pairs."""
    return {name for name, mix in params["segmenters"]["mixes"].items() if mix["synthetic"] != 0}


def _architectures(params: dict[str, Any], results: Results) -> list[dict[str, Any]]:
    kinds = facts.mix_kinds(params["segmenters"]["mixes"])
    blocks = []
    for name, table in results.table.groupby("architecture", sort=False):
        scores = results.scores[results.scores["architecture"] == name]
        curves = results.curves[results.curves["architecture"] == name]
        blocks.append(
            {
                "name": name,
                "chart": drawing(figures.mix_chart(scores, kinds, results.baselines)),
                "validation": drawing(figures.validation_chart(curves)),
                "rows": table.assign(kind=table["mix"].map(kinds)).to_dict("records"),
            }
        )
    return blocks


def _class_table(class_scores: pd.DataFrame) -> list[dict[str, Any]]:
    by = ["architecture", "mix", "class"]
    return tables.seed_means(class_scores, by, CLASS_FIGURES).to_dict("records")


def _galleries(
    folder: Path,
    seed: int,
    settings: ReportSettings,
    classes: list[ClassInfo],
    synthetic: pd.DataFrame,
) -> dict[str, Any]:
    pools = {
        "real": (PREPARED, read_split(PREPARED, "train")),
        "synthetic": (SYNTHETIC, synthetic),
    }
    content: dict[str, Any] = {}
    blocks = {}
    for name, (source, frame) in pools.items():
        rows = gallery.choose(frame, settings.pairs, seed, name)
        content[name] = gallery.write_tiles(folder, name, source, rows, classes)
        shown = rows.head(SHEET_PAIRS)
        blocks[f"{name} pairs"] = [
            gallery.draw_pair(source, row, classes) for _, row in shown.iterrows()
        ]
    write_image(folder / "pairs.png", gallery.sheet(blocks, SHEET_ROWS))

    ranked = _ranked(synthetic)
    ends = {"first": ranked.head(settings.ranked_pairs), "last": ranked.tail(settings.ranked_pairs)}
    for name, rows in ends.items():
        content[name] = gallery.write_tiles(folder, name, SYNTHETIC, rows, classes)
    content["total_ranked"], content["total_kept"] = len(ranked), int(ranked["kept"].sum())
    return content


def _ranked(manifest: pd.DataFrame) -> pd.DataFrame:
    """The synthetic pairs in the filter's order, with its scores in words; none without scores."""
    if not SCORES.exists():
        raise UserError(f"{SCORES}: not found; run `dvc repro filter-unet` first")
    ranked = manifest.merge(pd.read_parquet(SCORES), on="id").sort_values("rank")
    ranked = ranked.dropna(subset=["miou", "cross_entropy"])
    notes = [
        f"mIoU {miou:.2f}, cross-entropy {entropy:.2f}"
        for miou, entropy in zip(ranked["miou"], ranked["cross_entropy"], strict=True)
    ]
    return ranked.assign(note=notes)


def _trainings(folder: Path) -> list[dict[str, Any]]:
    """Loss curve and last sample grid of the diffusion training, and of the finetuning."""
    content = []
    for name, source in (("Training", IMAGE_DM), ("Finetuning", FINETUNED)):
        curve_path = source / "curve.csv"
        if not curve_path.exists():
            continue
        curve = tables.training_curve(pd.read_csv(curve_path))
        grid = _last_grid(source)
        if grid:
            (folder / "images").mkdir(exist_ok=True)
            shutil.copyfile(grid, folder / "images" / f"{source.name}.png")
        content.append(
            {
                "name": name,
                "chart": drawing(figures.training_chart(curve)),
                "grid": f"images/{source.name}.png" if grid else None,
                "step": _step(grid) if grid else None,
            }
        )
    return content


def _last_grid(source: Path) -> Path | None:
    grids = sorted((source / "samples").glob("step_*.png"), key=_step)
    return grids[-1] if grids else None


def _step(path: Path) -> int:
    return int(re.sub(r"\D", "", path.stem) or 0)


def _split_table(subset: dict[str, Any]) -> dict[str, Any]:
    """The split as the first stage wrote it, and the thesis's count of the subset's photos."""
    frame = pd.read_csv(PREPARED / "split.csv", dtype=str, keep_default_na=False)
    return {
        "columns": [column.replace("_", " ") for column in frame],
        "rows": frame.to_numpy().tolist(),
        "total": frame["images"].astype(int).sum(),
        "expected": subset.get("expected_count"),
        "by_photo": "photo" in set(frame["unit"]),
    }
