"""Training an image model on a prepared set, from its folder to the model's folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pipeline.data.split_pairs import read_pairs
from pipeline.diffusion.colour_check import ColourCheck
from pipeline.diffusion.image_kinds import ImageKind
from pipeline.diffusion.model_folder import SETTINGS_FILE, ModelCard, write_model_folder
from pipeline.diffusion.previews import Preview
from pipeline.diffusion.training import Trainer
from pipeline.io.atomic import output_folder, write_json
from pipeline.io.images import sha256_of
from pipeline.io.manifests import MANIFEST, read_classes
from pipeline.io.params import Settings
from pipeline.io.seeding import derive_seed
from pipeline.io.store import open_store
from pipeline.models.conditioning import ConditionSettings, condition_channels
from pipeline.training.state import STATE_FILE, read_start


def train_image_model(
    stage: str,
    prepared: Path,
    out: Path,
    kind: ImageKind,
    condition: ConditionSettings,
    seed: int,
    reduction: int = 1,
    start: Path | None = None,
) -> None:
    """Train a model and write its folder; resumes where an earlier process was killed.

    Args:
        stage: name of the stage, for its store.
        prepared: the prepared set; only its training and validation pairs are read.
        out: the model's folder, replaced whole at the end.
        kind: of model, with its settings.
        condition: what the network is told beside the classes.
        seed: the pipeline's.
        reduction: factor by which the photos are smaller than those of the prepared set.
        start: folder of a trained model whose weights, EMA and optimiser to continue from;
            None = from scratch.

    Raises:
        UserError: data or parameters that do not fit.
    """
    classes = read_classes(prepared)
    train, val = (
        read_pairs(prepared, split, condition.object, reduction) for split in ("train", "val")
    )
    settings, colours = kind.settings, [item.colour for item in classes]
    height, width = train.masks.shape[1:]
    torch.manual_seed(derive_seed(seed, "initial weights"))
    channels = condition_channels(len(classes), condition.object)
    network = kind.build(channels, (height, width))
    extras = kind.extras(channels, (height, width))
    own_seed = derive_seed(seed, stage)  # finetuning draws other noise than the training did
    painter = kind.painter(network, len(classes), condition.object)
    preview = Preview(val or train, colours, settings.training.preview, own_seed, painter)
    divergence = settings.training.colour_divergence
    check = ColourCheck(train, len(classes), divergence, own_seed, painter)
    key = _store_key(prepared, kind, condition, seed, reduction, start)
    with open_store(stage, key) as store:
        trainer = Trainer(
            network,
            kind.examples(train, len(classes), own_seed, training=True),
            None if val is None else kind.examples(val, len(classes), own_seed, training=False),
            settings.diffusion,
            settings.training,
            own_seed,
            store.path,
            replace(extras, draw_grid=preview.grid, colour_divergence=check.measure),
        )
        before = None if start is None else read_start(start / "state" / STATE_FILE)
        state = trainer.run(before)
        if not trainer.accelerator.is_main_process:
            return
        card = ModelCard(
            kind.name, settings, kind.inputs(), classes, condition.object, height, width, seed
        )
        with output_folder(out) as folder:
            write_model_folder(
                folder, network, state, card, settings.training, store.path, preview.grid
            )
        store.finish()
    # Printed and not written: equal trainings give equal files.
    print(f"{stage}: {state.record.steps_done} steps in {state.record.seconds:.0f} s")


def write_untrained(
    kind: str,
    settings: Settings,
    prepared: Path,
    out: Path,
    condition: ConditionSettings,
    seed: int,
) -> None:
    """Write the folder of a kind that needs no training: its card alone.

    Raises:
        UserError: the prepared set lacks what the kind needs.
    """
    train = read_pairs(prepared, "train", condition.object)
    height, width = train.masks.shape[1:]
    classes = read_classes(prepared)
    card = ModelCard(kind, settings, {}, classes, condition.object, height, width, seed)
    with output_folder(out) as folder:
        write_json(folder / SETTINGS_FILE, card.to_json())


def _store_key(
    prepared: Path,
    kind: ImageKind,
    condition: ConditionSettings,
    seed: int,
    reduction: int,
    start: Path | None,
) -> dict[str, Any]:
    return {
        "prepared": sha256_of(prepared / MANIFEST),
        "start": None if start is None else sha256_of(start / "state" / STATE_FILE),
        "kind": kind.name,
        "inputs": kind.inputs(),
        "settings": kind.settings.model_dump(),
        "condition": condition.model_dump(),
        "seed": seed,
        "reduction": reduction,
    }
