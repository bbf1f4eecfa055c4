"""A segmenter run: one architecture on one mix with several seeds, its test counts and its files.

`counts.parquet` holds the pixels of every seed, test image and class, so that a report computes
any score without running a network.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.mixes import Mix, load_mix_pairs
from pipeline.data.pairs import Pairs
from pipeline.evaluation.overlap import defect_iou, reduce_score
from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.images import write_image
from pipeline.io.seeding import derive_seed
from pipeline.models.segmenters import Architecture, NetworkSettings
from pipeline.segmentation.prediction import count_pixels, counts_table, draw_examples, predict
from pipeline.segmentation.training import (
    RepeatedTrainingSettings,
    TrainedSegmenter,
    TrainingData,
    train_segmenter,
)

EXAMPLES = 6


@dataclass(frozen=True)
class SegmenterRun:
    """What was trained; `trained` has one entry a seed."""

    architecture: Architecture
    mix: Mix
    network: NetworkSettings
    training: RepeatedTrainingSettings
    trained: list[TrainedSegmenter]


@dataclass(frozen=True)
class TestResults:
    """What the segmenters of a run say about the test pairs."""

    __test__ = False  # no test class of pytest

    pairs: Pairs
    counts: list[np.ndarray]  # int64 N×C×4 a seed
    table: pd.DataFrame  # counts.parquet
    predicted: np.ndarray  # uint8 N×H×W of the first seed


def train_run(
    architecture: Architecture,
    mix: Mix,
    network: NetworkSettings,
    training: RepeatedTrainingSettings,
    seed: int,
    states: Path,
) -> SegmenterRun:
    """Train every seed on the mix; `states` is the folder that a killed run goes on from.

    Seed number k is the same in every run, so that two mixes can be compared pair by pair.
    """
    total_classes = len(mix.classes)
    train, val = (load_mix_pairs(mix.part(part), total_classes) for part in ("train", "val"))
    data = TrainingData(train, val, total_classes, mix.augmentation)
    trained = [
        train_segmenter(
            architecture,
            network,
            training,
            data,
            derive_seed(seed, "segmenter", index),
            states / f"seed_{index}.safetensors",
            what=f"{architecture}-{mix.name} seed {index}",
        )
        for index in range(training.seeds)
    ]
    return SegmenterRun(architecture, mix, network, training, trained)


def evaluate_run(run: SegmenterRun, test: pd.DataFrame) -> TestResults:
    """Count right and wrong pixels of the test pairs, which are read here.

    Args:
        run: the trained segmenters.
        test: the prepared set's test rows; the mix must hold the very same pairs.

    Raises:
        UserError: the mix was composed from another prepared set.
    """
    rows = run.mix.part("test")
    if rows["id"].tolist() != test["id"].tolist():
        raise UserError(
            f"data/mixes/{run.mix.name}: its {len(rows)} test pairs are not the prepared set's "
            f"{len(test)}; run compose-mixes again"
        )
    classes = run.mix.classes
    pairs = load_mix_pairs(rows, len(classes))
    predictions = [predict(item.network, pairs.images) for item in run.trained]
    counts = [count_pixels(labels, pairs.masks, len(classes)) for labels in predictions]
    identity = {"architecture": run.architecture, "mix": run.mix.name}
    tables = [
        counts_table(of_seed, rows, classes, **identity, seed=index)
        for index, of_seed in enumerate(counts)
    ]
    return TestResults(pairs, counts, pd.concat(tables, ignore_index=True), predictions[0])


def write_run(folder: Path, run: SegmenterRun, results: TestResults) -> None:
    """Write weights, curve.csv, counts.parquet, run.json and examples.png below `folder`."""
    for index, item in enumerate(run.trained):
        item.network.save(folder / f"seed_{index}")
    curves = [item.curve.assign(seed=index) for index, item in enumerate(run.trained)]
    columns = ["seed", "step", "epoch", "train_loss", "val_defect_iou", "val_miou"]
    pd.concat(curves)[columns].to_csv(folder / "curve.csv", index=False, float_format="%.6g")
    results.table.to_parquet(folder / "counts.parquet", index=False)
    write_json(folder / "run.json", _summary(run))
    picture = draw_examples(results.pairs, [results.predicted], run.mix.classes, EXAMPLES)
    write_image(folder / "examples.png", picture)


def describe(run: SegmenterRun, results: TestResults) -> str:
    """One line with the mean scores over the seeds."""
    defect = np.mean([defect_iou(counts) for counts in results.counts])
    miou = np.mean([reduce_score(counts, "iou", "macro-imagewise") for counts in results.counts])
    seconds = sum(item.seconds for item in run.trained)
    return (
        f"{run.architecture}-{run.mix.name}: test defect IoU {defect:.3f}, macro-imagewise mIoU "
        f"{miou:.3f} ({len(run.trained)} seeds, {seconds:.0f} s)"
    )


def _summary(run: SegmenterRun) -> dict:
    first = run.trained[0]
    return {
        "architecture": run.architecture,
        "mix": run.mix.name,
        "network": run.network.model_dump(),
        "training": run.training.model_dump(),
        "augmentation": run.mix.augmentation and run.mix.augmentation.model_dump(),
        "classes": [item.name for item in run.mix.classes],
        "pairs": run.mix.rows.groupby("part").size().to_dict(),
        "parameters": sum(tensor.numel() for tensor in first.network.parameters()),
        "steps": first.total_steps,
        "seeds": [
            {
                "seed": index,
                "best_step": item.best_step,
                f"best_val_{run.training.monitor}": item.best_value,
            }
            for index, item in enumerate(run.trained)
        ],
    }
