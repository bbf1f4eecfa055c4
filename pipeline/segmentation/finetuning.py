"""Trained segmenters, trained on with a few real pairs of another domain.

The SynthSet paper (Heschl et al., "Segmentation") trains on synthetic pairs alone and then
finetunes on real images of the domain that the segmenter is measured in.
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
from pipeline.io.params import Settings
from pipeline.io.seeding import derive_seed, numpy_rng
from pipeline.models.segmenters import Segmenter
from pipeline.segmentation.training import (
    TrainedSegmenter,
    TrainingData,
    TrainingSettings,
    train_on,
)

WEIGHTS, CONFIG, RUN_SUMMARY = "model.safetensors", "config.json", "run.json"
WHAT = "finetune-segmenters"


class FinetuningSettings(Settings):
    """Section external.finetuning."""

    enabled: bool = True
    count: int | None = Field(default=None, ge=2)  # pairs; None = all of the external training part
    augment: bool = False  # whether `segmenters.augmentation` applies
    training: TrainingSettings


@dataclass(frozen=True)
class TrainedWeights:
    """One seed of a segmenter run, in the folder that train-segmenters wrote."""

    architecture: str
    mix: str
    seed: int
    folder: Path
    sha256: str

    @property
    def place(self) -> Path:
        """Where it lies below the folder of all runs."""
        return Path(f"{self.architecture}-{self.mix}") / f"seed_{self.seed}"

    @property
    def identity(self) -> dict[str, str | int]:
        """The columns that tell it from the others."""
        return {"architecture": self.architecture, "mix": self.mix, "seed": self.seed}

    def load(self) -> Segmenter:
        """The network, on the CPU."""
        return load_segmenter(self.folder)


def load_segmenter(folder: Path) -> Segmenter:
    """The network of a folder that `Segmenter.save` wrote, on the CPU.

    As `from_pretrained`, which prints a line each time.
    """
    network = Segmenter(**json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    network.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    return network


def find_weights(
    root: Path, architectures: list[str], mixes: list[str], seeds: int, classes: list[ClassInfo]
) -> list[TrainedWeights]:
    """All segmenters that the parameters name.

    Raises:
        UserError: one is missing, or was trained on classes other than the external set's.
    """
    found = []
    for architecture in architectures:
        for mix in mixes:
            run = root / f"{architecture}-{mix}"
            _check_classes(run, [item.name for item in classes])
            for seed in range(seeds):
                path = run / f"seed_{seed}" / WEIGHTS
                if not path.exists():
                    raise _missing(run, path)
                found.append(TrainedWeights(architecture, mix, seed, path.parent, sha256_of(path)))
    return found


def _check_classes(run: Path, expected: list[str]) -> None:
    path = run / RUN_SUMMARY
    if not path.exists():
        raise _missing(run, path)
    got = json.loads(path.read_text(encoding="utf-8"))["classes"]
    if got != expected:
        raise UserError(
            f"{run}: was trained on {', '.join(got)}, but the external set has "
            f"{', '.join(expected)}; run preprocess-external and train-segmenters again"
        )


def _missing(run: Path, path: Path) -> UserError:
    return UserError(f"{path}: not found; run `dvc repro train-segmenters@{run.name}` first")


def inputs(
    settings: FinetuningSettings,
    augmentation: AugmentationSettings | None,
    seed: int,
    external: Path,
) -> dict[str, Any]:
    """What decides a finetuning beside the weights that it starts from, as a store's key."""
    return {
        "finetuning": settings.model_dump(),
        "augmentation": augmentation and augmentation.model_dump(),
        "seed": seed,
        "external": sha256_of(external / MANIFEST),
    }


def finetuning_data(
    external: Path,
    settings: FinetuningSettings,
    augmentation: AugmentationSettings | None,
    seed: int,
) -> TrainingData | None:
    """The external pairs to finetune on, the same for all segmenters; None without finetuning.

    Fewer pairs than there are form the start of one random order, so that four pairs are among
    the eight.

    Raises:
        UserError: fewer pairs than asked for, or than two.
    """
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
    order = numpy_rng(seed, "external-pairs").permutation(len(train))
    chosen = train.iloc[np.sort(order[:count])].reset_index(drop=True)
    return TrainingData(
        load_pairs(external, chosen),
        None if val.empty else load_pairs(external, val),
        len(read_classes(external)),
        augmentation,
    )


def finetune(
    weights: list[TrainedWeights],
    settings: TrainingSettings,
    data: TrainingData,
    seed: int,
    states: Path,
) -> Iterator[tuple[TrainedWeights, TrainedSegmenter]]:
    """Finetune one segmenter after the other.

    A killed finetuning goes on from `states`, where those that were finished are taken from: a
    state belongs to the very weights that it started from.
    """
    for start in weights:
        what = f"{WHAT}: {start.architecture}-{start.mix} seed {start.seed}"
        state = states / f"{start.architecture}-{start.seed}-{start.sha256[:24]}.safetensors"
        own_seed = derive_seed(seed, "finetune-segmenter", start.seed)
        yield start, train_on(start.load(), settings, data, own_seed, state, what)
