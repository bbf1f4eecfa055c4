"""Segmenters on test photos of another domain, before and after their finetuning.

The right and wrong pixels of every photo are kept, as for the segmenters themselves, so that a
report computes any score of the SynthSet paper's table 1 without running a network.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.data.pairs import Pairs, load_pairs
from pipeline.evaluation.overlap import reduce_score, stack_counts
from pipeline.io.atomic import write_json
from pipeline.io.images import write_image
from pipeline.io.manifests import ClassInfo
from pipeline.segmentation.finetuning import (
    FinetuningSettings,
    SeedRun,
    TrainedWeights,
    load_segmenter,
)
from pipeline.segmentation.prediction import count_pixels, counts_table, draw_examples, predict
from pipeline.segmentation.training import TrainedSegmenter, TrainingData

BEFORE, AFTER = "before", "after"
CURVE_COLUMNS = ["step", "epoch", "train_loss", "val_defect_iou", "val_miou"]
EXAMPLES = 6


class ExternalRun:
    """What becomes of all segmenters, written to one folder.

    Finetuned weights are written as they come, and read again for the test: many segmenters need
    no more memory than one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.curves: list[pd.DataFrame] = []
        self.finetuned: list[dict[str, Any]] = []
        self.baselines: list[SeedRun] = []

    def add(self, start: SeedRun, trained: TrainedSegmenter) -> None:
        """Write the weights of a segmenter that was finetuned, or trained alone; keep its curve."""
        if not isinstance(start, TrainedWeights):
            self.baselines.append(start)
        trained.network.save(self.folder / start.place)
        self.curves.append(pd.DataFrame([start.identity]).merge(trained.curve, how="cross"))
        best = {"steps": trained.total_steps, "best_step": trained.best_step}
        self.finetuned.append(start.identity | best)

    def measure(
        self,
        weights: list[TrainedWeights],
        test: pd.DataFrame,
        external: Path,
        classes: list[ClassInfo],
    ) -> pd.DataFrame:
        """Count pixels of the test pairs, which are read here, and draw examples.

        Args:
            weights: all segmenters, as they were trained; the baselines come after them.
            test: rows of the external set's manifest.
            external: its folder.
            classes: its classes.

        Returns:
            The rows of counts.parquet: those of a segmenter run with the column `stage`, which is
            `before` or `after` the finetuning.
        """
        pairs = load_pairs(external, test)
        tables = []
        for start in [*weights, *self.baselines]:
            predicted = self._predict(start, pairs)
            for stage, labels in predicted.items():
                counts = count_pixels(labels, pairs.masks, len(classes))
                identity = start.identity | {"stage": stage}
                tables.append(counts_table(counts, test, classes, **identity))
            if start.seed == 0:
                picture = draw_examples(pairs, list(predicted.values()), classes, EXAMPLES)
                write_image(self.folder / start.place.parent / "examples.png", picture)
        return pd.concat(tables, ignore_index=True)

    def write(
        self,
        table: pd.DataFrame,
        settings: FinetuningSettings,
        data: TrainingData | None,
        classes: list[ClassInfo],
    ) -> None:
        """Write counts.parquet, curve.csv and run.json."""
        table.to_parquet(self.folder / "counts.parquet", index=False)
        identity = ["architecture", "mix", "seed"]
        curve = pd.concat(self.curves) if self.curves else pd.DataFrame(columns=identity)
        curve = curve.reindex(columns=[*identity, *CURVE_COLUMNS])
        curve.to_csv(self.folder / "curve.csv", index=False, float_format="%.6g")
        content = {
            "finetuning": settings.model_dump(),
            "pairs": {"train": data.train.ids, "val": data.val.ids if data.val else []}
            if data
            else None,
            "test_pairs": int(table["id"].nunique()),
            "classes": [item.name for item in classes],
            "finetuned": self.finetuned,
        }
        write_json(self.folder / "run.json", content)

    def _predict(self, start: SeedRun, pairs: Pairs) -> dict[str, np.ndarray]:
        """Labels uint8 N×H×W by stage."""
        networks = {BEFORE: start.load} if isinstance(start, TrainedWeights) else {}
        finetuned = self.folder / start.place
        if finetuned.exists():
            networks[AFTER] = lambda: load_segmenter(finetuned)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return {
            stage: predict(load().to(device, memory_format=torch.channels_last), pairs.images)
            for stage, load in networks.items()
        }


def describe(table: pd.DataFrame) -> str:
    """A line for each architecture and mix: the mean over the seeds of Dice and IoU."""
    lines = []
    for (architecture, mix), rows in table.groupby(["architecture", "mix"], sort=False):
        parts = []
        for stage, of_stage in rows.groupby("stage", sort=False):
            stacked = [stack_counts(of_seed) for _, of_seed in of_stage.groupby("seed")]
            dice, iou = (
                np.mean([reduce_score(c, metric, "macro-imagewise", False) for c in stacked])
                for metric in ("dice", "iou")
            )
            parts.append(f"{stage}: Dice {dice:.3f}, IoU {iou:.3f}")
        lines.append(f"{architecture}-{mix}: {'; '.join(parts)} (imagewise, external test)")
    return "\n".join(lines)
