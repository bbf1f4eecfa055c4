"""Many trainings of one small segmenter on real photos, each reduced to its pixel counts.

An arm is a number of real training photos; its seeds differ in nothing but the seed. All photos of
the prepared set that are not for training are judged, so that trials can draw groups from a
population larger than any of them. No model is chosen by these counts: they measure the verdicts.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.data.composition import spread_over_groups
from pipeline.data.pairs import load_pairs
from pipeline.io.manifests import read_classes, read_manifest
from pipeline.io.params import section, value
from pipeline.io.seeding import derive_seed
from pipeline.models.segmenters import NetworkSettings
from pipeline.segmentation.prediction import count_pixels, counts_table, predict
from pipeline.segmentation.training import (
    BudgetSettings,
    TrainingData,
    TrainingSettings,
    train_segmenter,
)

ARCHITECTURE = "fpn"  # the fastest of the four


def train_arm(
    prepared: Path, params: dict[str, Any], photos: int | None, seeds: int, steps: int, states: Path
) -> pd.DataFrame:
    """The counts of all seeds of one arm, in the columns of counts.parquet.

    Args:
        prepared: folder of the prepared set.
        params: all parameters; network and training are those of `segmenters`.
        photos: real training photos of the arm; None = all.
        seeds: trainings.
        steps: of each training, in place of `segmenters.training.budget`.
        states: folder for what a killed training goes on from.
    """
    classes, manifest = read_classes(prepared), read_manifest(prepared)
    train = manifest[manifest["split"] == "train"]
    judged = manifest[manifest["split"] != "train"].sort_values("id", ignore_index=True)
    seed, name = value("seed", params), arm_name(photos)
    chosen = spread_over_groups(train, photos or len(train), seed)
    # without validation photos the last weights are taken
    data = TrainingData(load_pairs(prepared, chosen), None, len(classes), None)
    pairs, tables = load_pairs(prepared, judged), []
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
        tables.append(counts_table(counts, judged, classes, **run))
    return pd.concat(tables, ignore_index=True)


def arm_name(photos: int | None) -> str:
    """`real_16`, or `real_all`."""
    return f"real_{photos or 'all'}"


def _settings(params: dict[str, Any], steps: int) -> TrainingSettings:
    names = TrainingSettings.model_fields
    content = {k: v for k, v in value("segmenters.training", params).items() if k in names}
    budget = BudgetSettings(unit="steps", amount=steps)
    return TrainingSettings(**content | {"budget": budget, "validate_every_steps": steps})
