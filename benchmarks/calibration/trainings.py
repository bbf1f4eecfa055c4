"""Many trainings of one small segmenter on real photos, each reduced to its pixel counts.

An arm is a number of real training photos; its seeds differ in nothing but the seed. All photos
that are not for training are judged, so that trials can draw groups from a population larger than
any of them. No model is chosen by these counts: they measure the verdicts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.composition import spread_over_groups
from pipeline.data.pairs import load_pairs
from pipeline.data.splits import assign
from pipeline.io.manifests import read_classes, read_manifest
from pipeline.io.params import section, value
from pipeline.io.seeding import derive_seed, numpy_rng
from pipeline.models.segmenters import NetworkSettings
from pipeline.segmentation.prediction import count_pixels, counts_table, predict
from pipeline.segmentation.training import (
    BudgetSettings,
    TrainingData,
    TrainingSettings,
    train_segmenter,
)

ARCHITECTURE = "fpn"  # the fastest of the four


@dataclass(frozen=True)
class Split:
    """Photos to train on and photos to judge: rows of the manifest in the folder `prepared`."""

    prepared: Path
    train: pd.DataFrame
    judged: pd.DataFrame


def hold_out(prepared: Path) -> Split:
    """The training photos against all others."""
    manifest = read_manifest(prepared)
    is_train = manifest["split"] == "train"
    return Split(prepared, manifest[is_train], _in_order(manifest[~is_train]))


def cut_folds(prepared: Path, folds: int, seed: int) -> list[Split]:
    """All photos, each judged in one of the group folds."""
    manifest = read_manifest(prepared)
    _, member = np.unique(manifest["group"].to_numpy(str), return_inverse=True)
    photos = np.bincount(member)[:, None].astype(float)
    fold = assign(photos, np.full(folds, 1 / folds), numpy_rng(seed, "folds"))[member]
    return [
        Split(prepared, manifest[fold != index], _in_order(manifest[fold == index]))
        for index in range(folds)
    ]


def train_arm(
    split: Split, params: dict[str, Any], photos: int | None, seeds: int, steps: int, states: Path
) -> pd.DataFrame:
    """The counts of all seeds of one arm, in the columns of counts.parquet.

    Args:
        split: photos to train on and to judge.
        params: all parameters; network and training are those of `segmenters`.
        photos: real training photos of the arm; None = all.
        seeds: trainings.
        steps: of each training, in place of `segmenters.training.budget`.
        states: folder for what a killed training goes on from.
    """
    classes = read_classes(split.prepared)
    seed, name = value("seed", params), arm_name(photos)
    chosen = spread_over_groups(split.train, photos or len(split.train), seed)
    # without validation photos the last weights are taken
    data = TrainingData(load_pairs(split.prepared, chosen), None, len(classes), None)
    pairs, tables = load_pairs(split.prepared, split.judged), []
    for index in range(seeds):
        trained = train_segmenter(
            ARCHITECTURE,
            section(NetworkSettings, "segmenters.network", params),
            _settings(params, steps),
            data,
            derive_seed(seed, "segmenter", index),
            states / f"{name}_{index}.safetensors",
            what=f"{name} seed {index}",
        )
        counts = count_pixels(predict(trained.network, pairs.images), pairs.masks, len(classes))
        run = {"architecture": ARCHITECTURE, "mix": name, "seed": index}
        tables.append(counts_table(counts, split.judged, classes, **run))
    return pd.concat(tables, ignore_index=True)


def arm_name(photos: int | None) -> str:
    """`real_16`, or `real_all`."""
    return f"real_{photos or 'all'}"


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("id", ignore_index=True)


def _settings(params: dict[str, Any], steps: int) -> TrainingSettings:
    names = TrainingSettings.model_fields
    content = {k: v for k, v in value("segmenters.training", params).items() if k in names}
    budget = BudgetSettings(unit="steps", amount=steps)
    return TrainingSettings(**content | {"budget": budget, "validate_every_steps": steps})
