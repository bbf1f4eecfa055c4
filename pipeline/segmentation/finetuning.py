"""Trained segmenters, trained on with a few real pairs of another domain.

The SynthSet paper (Heschl et al., "Segmentation") trains on synthetic pairs alone and then
finetunes on real images of the domain that the segmenter is measured in. What that training was
good for shows beside segmenters that saw nothing but those few real pairs: the baseline here.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from pydantic import Field

from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.pairs import load_pairs
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.manifests import MANIFEST, ClassInfo, read_classes, read_split
from pipeline.io.outs import written_by
from pipeline.io.params import Settings, section, value
from pipeline.io.seeding import derive_seed, numpy_rng
from pipeline.models.segmenters import Architecture, NetworkSettings, Segmenter
from pipeline.segmentation.training import (
    RepeatedTrainingSettings,
    TrainedSegmenter,
    TrainingData,
    TrainingSettings,
    train_on,
    train_segmenter,
)

WEIGHTS, CONFIG, RUN_SUMMARY = "model.safetensors", "config.json", "run.json"
WHAT = "finetune-segmenters"
ALONE = "external_alone"  # in place of a mix: nothing was trained on but the external pairs


class FinetuningSettings(Settings):
    """Section external.finetuning."""

    enabled: bool = True
    count: int | None = Field(default=None, ge=2)  # pairs; None = all of the external training part
    augment: bool = False  # whether `segmenters.augmentation` applies
    training: TrainingSettings


@dataclass(frozen=True)
class Plan:
    """What is finetuned and how; `network` and `training` are those of the segmenters themselves.

    augmentation: of the finetuning; None = none.
    """

    finetuning: FinetuningSettings
    augmentation: AugmentationSettings | None
    network: NetworkSettings
    training: RepeatedTrainingSettings
    architectures: list[Architecture]
    mixes: list[str]
    seed: int


def read_plan(params: dict[str, Any]) -> Plan:
    """The plan of all parameters.

    Raises:
        UserError: one is wrong, or a mix has the name of the baseline.
    """
    settings = section(FinetuningSettings, "external.finetuning", params)
    augmentation = section(AugmentationSettings, "segmenters.augmentation", params)
    mixes = list(value("segmenters.mixes", params))
    if ALONE in mixes:
        raise UserError(f"segmenters.mixes.{ALONE}: is the baseline of finetuning; rename the mix")
    return Plan(
        finetuning=settings,
        augmentation=augmentation if settings.augment else None,
        network=section(NetworkSettings, "segmenters.network", params),
        training=section(RepeatedTrainingSettings, "segmenters.training", params),
        architectures=value("segmenters.architectures", params),
        mixes=mixes,
        seed=value("seed", params),
    )


@dataclass(frozen=True)
class SeedRun:
    """One seed of a segmenter run."""

    architecture: Architecture
    mix: str
    seed: int

    @property
    def place(self) -> Path:
        """Where it lies below the folder of all runs."""
        return Path(f"{self.architecture}-{self.mix}") / f"seed_{self.seed}"

    @property
    def identity(self) -> dict[str, str | int]:
        """The columns that tell it from the others."""
        return {"architecture": self.architecture, "mix": self.mix, "seed": self.seed}


@dataclass(frozen=True)
class TrainedWeights(SeedRun):
    """Its weights, in the folder that train-segmenters wrote."""

    folder: Path
    sha256: str

    def load(self) -> Segmenter:
        """The network, on the CPU."""
        return load_segmenter(self.folder)


def load_segmenter(folder: Path) -> Segmenter:
    """The network of a folder that `Segmenter.save` wrote, on the CPU.

    As `from_pretrained`, which prints a line each time.

    Raises:
        UserError: a file is missing or damaged.
    """
    stage = f"train-segmenters@{folder.parent.name}"
    with written_by(stage, folder / CONFIG):
        network = Segmenter(**json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    with written_by(stage, folder / WEIGHTS):
        network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    return network


def find_weights(root: Path, plan: Plan, classes: list[ClassInfo]) -> list[TrainedWeights]:
    """All segmenters that the parameters name.

    Raises:
        UserError: one is missing, or was trained on classes other than the external set's.
    """
    found = []
    for architecture in plan.architectures:
        for mix in plan.mixes:
            run = root / f"{architecture}-{mix}"
            _check_classes(run, [item.name for item in classes])
            for seed in range(plan.training.seeds):
                path = run / f"seed_{seed}" / WEIGHTS
                with written_by(f"train-segmenters@{run.name}", path):
                    digest = sha256_of(path)
                found.append(TrainedWeights(architecture, mix, seed, path.parent, digest))
    return found


def _check_classes(run: Path, expected: list[str]) -> None:
    path = run / RUN_SUMMARY
    with written_by(f"train-segmenters@{run.name}", path):
        got = json.loads(path.read_text(encoding="utf-8"))["classes"]
    if got != expected:
        raise UserError(
            f"{run}: was trained on {', '.join(got)}, but the external set has "
            f"{', '.join(expected)}; run preprocess-external and train-segmenters again"
        )


def inputs(plan: Plan, external: Path) -> dict[str, Any]:
    """What decides a finetuning beside the weights that it starts from, as a store's key."""
    return {
        "finetuning": plan.finetuning.model_dump(),
        "augmentation": plan.augmentation and plan.augmentation.model_dump(),
        "network": plan.network.model_dump(),
        # the number of seeds decides nothing about any one of them
        "training": plan.training.model_dump(exclude={"seeds"}),
        "seed": plan.seed,
        "external": sha256_of(external / MANIFEST),
    }


def finetuning_data(external: Path, plan: Plan) -> TrainingData | None:
    """The external pairs to finetune on, the same for all segmenters; None without finetuning.

    Fewer pairs than there are form the start of one random order, so that four pairs are among
    the eight.

    Raises:
        UserError: fewer pairs than asked for, or than two.
    """
    settings = plan.finetuning
    train, val = (read_split(external, part) for part in ("train", "val"))
    if not settings.enabled or train.empty:
        return None
    count = len(train) if settings.count is None else settings.count
    if not 2 <= count <= len(train):
        raise UserError(
            f"external.finetuning.count: got {settings.count} with {len(train)} external training "
            "pairs, expected at least 2 and no more than there are; change it or "
            "external.split.train (0 = measure without finetuning)"
        )
    order = numpy_rng(plan.seed, "external-pairs").permutation(len(train))
    chosen = train.iloc[np.sort(order[:count])].reset_index(drop=True)
    return TrainingData(
        load_pairs(external, chosen),
        None if val.empty else load_pairs(external, val),
        len(read_classes(external)),
        plan.augmentation,
    )


def finetune(
    weights: list[TrainedWeights], plan: Plan, data: TrainingData, states: Path
) -> Iterator[tuple[SeedRun, TrainedSegmenter]]:
    """Finetune one segmenter after the other.

    A killed finetuning goes on from `states`, where those that were finished are taken from: a
    state belongs to the very weights that it started from.
    """
    for start in weights:
        what = f"{WHAT}: {start.architecture}-{start.mix} seed {start.seed}"
        state = states / f"{start.architecture}-{start.seed}-{start.sha256[:24]}.safetensors"
        own_seed = derive_seed(plan.seed, "finetune-segmenter", start.seed)
        yield start, train_on(start.load(), plan.finetuning.training, data, own_seed, state, what)


def train_alone(
    plan: Plan, data: TrainingData, states: Path
) -> Iterator[tuple[SeedRun, TrainedSegmenter]]:
    """The baseline: on the external pairs alone, trained as the segmenters of the mixes are.

    Seed number k starts from the weights that theirs started from.
    """
    for architecture in plan.architectures:
        for index in range(plan.training.seeds):
            trained = train_segmenter(
                architecture,
                plan.network,
                plan.training,
                data,
                derive_seed(plan.seed, "segmenter", index),
                states / f"{architecture}-{index}-alone.safetensors",
                what=f"{WHAT}: {architecture}-{ALONE} seed {index}",
            )
            yield SeedRun(architecture, ALONE, index), trained
