"""Gathers what the page shows from the project's folders, and writes the pictures beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.io.images import write_image
from pipeline.io.manifests import ClassInfo, read_classes, read_manifest, read_split
from pipeline.io.outs import written_by
from pipeline.reporting import (
    by_mask,
    external,
    facts,
    figures,
    gallery,
    leakage,
    masks,
    quality,
    tables,
    trainings,
)
from pipeline.reporting.page import drawing
from pipeline.reporting.settings import ReportSettings

PREPARED, SYNTHETIC = Path("data/prepared"), Path("data/synthetic")
FILTERED = Path("data/filtered")
SCORES, REAL_SCORES = FILTERED / "scores.parquet", FILTERED / "real_scores.parquet"
SHEET_PAIRS, SHEET_ROWS = 8, 4
FIGURES = {
    "iou": "IoU",
    "dice": "Dice",
    "precision": "precision",
    "recall": "recall",
    "accuracy": "accuracy",
}
SCOPES = ["all classes", "all but background"]  # rows of segmentation.csv over several classes


@dataclass(frozen=True)
class Results:
    """The segmenters' results in the forms that the page needs.

    counts: pixel counts per run, seed, test photo and class.
    curves: architecture, mix, seed, step, val_defect_iou.
    scores: architecture, mix, seed, defect_iou, miou.
    all_scores: the result of `score_table`: every score of every run and seed.
    class_scores: those of single defect classes, pooled over the photos.
    sums: every figure of every run as sums over the test groups: metrics/group_sums.parquet.
    gained: every mix against its baseline: metrics/differences.csv.
    table: the result of `tables.mix_table`.
    headline: the result of `tables.summary`.
    baselines: the mix that each mix is compared with.
    masks: how the synthetic pairs' masks compare with the real ones.
    quality: figures on the synthetic photos beside those of real ones.
    external: how the segmenters do in another domain; None where that was not asked.
    """

    counts: pd.DataFrame
    curves: pd.DataFrame
    scores: pd.DataFrame
    all_scores: pd.DataFrame
    class_scores: pd.DataFrame
    sums: pd.DataFrame
    gained: pd.DataFrame
    table: pd.DataFrame
    headline: dict[str, dict[str, Any]]
    baselines: dict[str, str]
    masks: masks.MaskResults
    quality: pd.DataFrame
    external: external.ExternalResults | None


def gather(
    folder: Path, params: dict[str, Any], settings: ReportSettings, results: Results
) -> dict[str, Any]:
    """Everything page.html asks for; writes the pictures into `folder`."""
    classes, synthetic = read_classes(PREPARED), read_manifest(SYNTHETIC)
    sides = {
        "real": (PREPARED, read_split(PREPARED, "train")),
        "synthetic": (SYNTHETIC, synthetic),
    }
    return {
        "subset": params["subset"],
        "method": facts.method(params, synthetic),
        "reach": facts.reach(results.counts, results.scores),
        "baseline": params["segmenters"]["baseline"],
        "headline": results.headline,
        "classes": classes,
        "architectures": _architectures(params, results),
        "grouped": results.counts["group"].nunique() < results.counts["id"].nunique(),
        "scores": FIGURES,
        "class_table": _means(results.class_scores, "class"),
        "kinds": [(kind, figures.THEMED[c], mark) for kind, (c, mark) in figures.KINDS.items()],
        **_galleries(folder, params["seed"], settings, classes, sides),
        "moved_masks": params["masks"]["source"] == "augmented",
        "of_masks": by_mask.section(folder, settings, sides, classes),
        "masks": masks.section(folder, results.masks, sides, classes, params["seed"]),
        "quality": quality.section(results.quality),
        "copies": quality.copies(folder),
        "audit": leakage.section(folder),
        "external": external.section(folder, params, PREPARED, results.external),
        "trainings": trainings.section(folder, params["sampling"]["checkpoint"]),
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
        every = results.all_scores[results.all_scores["architecture"] == name]
        reduced = every[every["class"].isin(SCOPES)]
        blocks.append(
            {
                "name": name,
                "chart": drawing(figures.mix_chart(scores, kinds, results.baselines)),
                "validation": drawing(figures.validation_chart(curves)),
                "reductions": _means(reduced, "class", "reduction"),
                "rows": table.assign(kind=table["mix"].map(kinds)).to_dict("records"),
            }
        )
    return blocks


def _means(scores: pd.DataFrame, *by: str) -> list[dict[str, Any]]:
    """Means over the seeds of all `FIGURES`, a row for each architecture, mix and `by`."""
    return tables.seed_means(scores, ["architecture", "mix", *by], list(FIGURES)).to_dict("records")


def _galleries(
    folder: Path,
    seed: int,
    settings: ReportSettings,
    classes: list[ClassInfo],
    sides: dict[str, tuple[Path, pd.DataFrame]],
) -> dict[str, Any]:
    content: dict[str, Any] = {}
    blocks = {}
    for name, (source, frame) in sides.items():
        rows = gallery.choose(frame, settings.pairs, seed, name)
        content[name] = gallery.write_tiles(folder, name, source, rows, classes)
        shown = rows.head(SHEET_PAIRS)
        blocks[f"{name} pairs"] = [
            gallery.draw_pair(source, row, classes) for _, row in shown.iterrows()
        ]
    write_image(folder / "pairs.png", gallery.sheet(blocks, SHEET_ROWS))

    scored = _scored(sides["synthetic"][1])
    ranked, aligned = _ranked(scored), _aligned(scored)
    count = settings.ranked_pairs
    for name, rows in {
        "first": ranked.head(count),
        "last": ranked.tail(count),
        "aligned_best": aligned.head(count),
        "aligned_worst": aligned.tail(count),
    }.items():
        content[name] = gallery.write_tiles(folder, name, SYNTHETIC, rows, classes)
    content["total_ranked"], content["total_kept"] = len(ranked), int(ranked["kept"].sum())
    content["total_aligned"] = len(aligned)
    return content


def _scored(manifest: pd.DataFrame) -> pd.DataFrame:
    """The synthetic pairs with what filter-unet says of them."""
    with written_by("filter-unet", SCORES):
        return manifest.merge(pd.read_parquet(SCORES), on="id")


def _aligned(scored: pd.DataFrame) -> pd.DataFrame:
    """Pairs that show a defect, the best alignment first; none without judges out of fold."""
    if not REAL_SCORES.exists():
        return scored[:0]
    aligned = scored[scored["defect_share"] > 0].dropna(subset=["defect_iou"])
    aligned = aligned.sort_values(["defect_iou", "id"], ascending=[False, True])
    return aligned.assign(note=[f"defect IoU {iou:.2f}" for iou in aligned["defect_iou"]])


def _ranked(scored: pd.DataFrame) -> pd.DataFrame:
    """The pairs in the filter's order, with its scores in words; none without scores."""
    ranked = scored.sort_values("rank").dropna(subset=["miou", "cross_entropy"])
    notes = [
        f"mIoU {miou:.2f}, cross-entropy {entropy:.2f}"
        for miou, entropy in zip(ranked["miou"], ranked["cross_entropy"], strict=True)
    ]
    return ranked.assign(note=notes)


def _split_table(subset: dict[str, Any]) -> dict[str, Any]:
    """The split as the first stage wrote it, and the thesis's count of the subset's photos."""
    path = PREPARED / "split.csv"
    with written_by("preprocess-lemons-subsets", path):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        total = frame["images"].astype(int).sum()
    return {
        "columns": [column.replace("_", " ") for column in frame],
        "rows": frame.to_numpy().tolist(),
        "total": total,
        "expected": subset.get("expected_count"),
        "by_photo": "photo" in set(frame["unit"]),
    }
