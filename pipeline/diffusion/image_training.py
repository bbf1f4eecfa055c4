"""Training an SDM on a prepared set, from its folder to the model's folder."""

from pathlib import Path
from typing import Any

import torch

from pipeline.data.pairs import Pairs, load_pairs
from pipeline.diffusion.image_model import ModelCard, SdmSettings, write_image_model
from pipeline.diffusion.training import Trainer
from pipeline.diffusion.training_state import STATE_FILE, read_state
from pipeline.io.atomic import output_folder
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.manifests import MANIFEST, read_classes, read_split
from pipeline.io.seeding import derive_seed
from pipeline.io.store import open_store
from pipeline.models.conditioning import ConditionSettings, condition_channels
from pipeline.models.spade_unet import SpadeUNet, build_network


def train_image_model(
    stage: str,
    prepared: Path,
    out: Path,
    settings: SdmSettings,
    condition: ConditionSettings,
    seed: int,
    start: Path | None = None,
) -> None:
    """Train a model and write its folder; resumes where an earlier process was killed.

    Args:
        stage: name of the stage, for its store.
        prepared: the prepared set; only its training and validation pairs are read.
        out: the model's folder, replaced whole at the end.
        settings: network, diffusion and training.
        condition: what the network is told beside the classes.
        seed: the pipeline's.
        start: folder of a trained model whose weights, EMA and optimiser to continue from;
            None = from scratch.

    Raises:
        UserError: data or parameters that do not fit.
    """
    classes = read_classes(prepared)
    train, val = (_pairs(prepared, split, condition) for split in ("train", "val"))
    if train is None:
        raise UserError(f"{prepared}: got 0 training pairs, expected at least 1; check split.*")
    height, width = train.masks.shape[1:]
    network = _new_network(settings, condition, len(classes), (height, width), seed)
    key = _store_key(prepared, settings, condition, seed, start)
    with open_store(stage, key) as store:
        colours = [item.colour for item in classes]
        trainer = Trainer(
            network,
            train,
            val,
            colours,
            settings.diffusion,
            settings.training,
            derive_seed(seed, stage),  # finetuning draws other noise than the training did
            store.path,
        )
        before = None if start is None else read_state(start / "state" / STATE_FILE).as_start()
        state = trainer.run(before)
        if not trainer.accelerator.is_main_process:
            return
        card = ModelCard("sdm", settings, classes, condition.object, height, width, seed)
        with output_folder(out) as folder:
            write_image_model(folder, network, state, card, store.path)
        store.clear()
    # Printed and not written: equal trainings give equal files.
    print(f"{stage}: {state.record.steps_done} steps in {state.record.seconds:.0f} s")


def _pairs(prepared: Path, split: str, condition: ConditionSettings) -> Pairs | None:
    frame = read_split(prepared, split)
    if frame.empty:
        return None
    pairs = load_pairs(prepared, frame, verify=True)
    if condition.object and pairs.objects is None:
        raise UserError(
            f"condition.object: got true, but {prepared} has no silhouettes; set "
            "dataset.object.source, or condition.object to false"
        )
    return pairs if condition.object else Pairs(pairs.ids, pairs.images, pairs.masks, None)


def _new_network(
    settings: SdmSettings,
    condition: ConditionSettings,
    total_classes: int,
    size: tuple[int, int],
    seed: int,
) -> SpadeUNet:
    torch.manual_seed(derive_seed(seed, "initial weights"))
    channels = condition_channels(total_classes, condition.object)
    return build_network(settings.network, channels, settings.diffusion.learns_variance, size)


def _store_key(
    prepared: Path,
    settings: SdmSettings,
    condition: ConditionSettings,
    seed: int,
    start: Path | None,
) -> dict[str, Any]:
    return {
        "prepared": sha256_of(prepared / MANIFEST),
        "start": None if start is None else sha256_of(start / "state" / STATE_FILE),
        "settings": settings.model_dump(),
        "condition": condition.model_dump(),
        "seed": seed,
    }
