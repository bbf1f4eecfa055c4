"""A trained image model as a folder: what `train-image-dm` writes and `sample` reads.

best/ and last/ (EMA weights, loadable with `from_pretrained`), state/ (what finetuning continues
from), settings.json, curve.csv, curve.png, samples/ and training.json.
"""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError

from pipeline.diffusion.monitoring import write_curve
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.diffusion.training import SAMPLES_FOLDER
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.diffusion.training_state import STATE_FILE, Tensors, TrainingState
from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo
from pipeline.io.params import Settings
from pipeline.models.spade_unet import NetworkSettings, SpadeUNet

SETTINGS_FILE = "settings.json"
TRAINING_FILE = "training.json"


class SdmSettings(Settings):
    """Section `image_dm.sdm`: the semantic diffusion model of Wang et al. 2022."""

    network: NetworkSettings
    diffusion: DiffusionSettings
    training: TrainingSettings


@dataclass(frozen=True)
class ModelCard:
    """What one must know to use the weights; saved beside them."""

    kind: str
    sdm: SdmSettings
    classes: list[ClassInfo]
    with_object: bool
    height: int
    width: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """As JSON-able dict."""
        return {**asdict(self), "sdm": self.sdm.model_dump()}


def write_image_model(
    folder: Path, network: SpadeUNet, state: TrainingState, card: ModelCard, work: Path
) -> None:
    """Write the folder of a finished training.

    Args:
        folder: empty; becomes the model's folder.
        network: of the right configuration; its weights are replaced.
        state: the final one.
        card: see there.
        work: the folder the training ran in, for its sample grids.
    """
    timeless = replace(state, record=replace(state.record, seconds=0.0))  # same run, same bytes
    timeless.write(folder / "state" / STATE_FILE)
    for name, weights in (("best", state.best), ("last", state.average)):
        _load_weights(network, weights)
        network.save_pretrained(folder / name)
    record = state.record
    write_json(folder / "state" / "state.json", {"step": record.steps_done})
    write_json(folder / SETTINGS_FILE, card.to_json())
    write_curve(folder, record)
    if (work / SAMPLES_FOLDER).exists():
        shutil.copytree(work / SAMPLES_FOLDER, folder / SAMPLES_FOLDER)
    write_json(
        folder / TRAINING_FILE,
        {
            "steps": record.steps_done,
            "monitor": card.sdm.training.monitor,
            "best_step": record.best_step,
            "best_value": record.best_value,
            "parameters": sum(tensor.numel() for tensor in state.weights.values()),
        },
    )


def load_image_model(
    folder: Path, checkpoint: Literal["best", "last"]
) -> tuple[SpadeUNet, ModelCard]:
    """A trained network (CPU, evaluation mode) and its card.

    Raises:
        UserError: the folder holds no image model.
    """
    card = read_card(folder)
    try:
        network = SpadeUNet.from_pretrained(folder / checkpoint, local_files_only=True)
    except OSError as error:
        raise UserError(f"{folder / checkpoint}: cannot be loaded: {error}") from None
    return network.eval(), card


def read_card(folder: Path) -> ModelCard:
    """The card of a trained image model.

    Raises:
        UserError: settings.json is missing or was written by another version.
    """
    path = folder / SETTINGS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        classes = [ClassInfo(c["index"], c["name"], tuple(c["colour"])) for c in content["classes"]]
        sdm = SdmSettings.model_validate(content["sdm"])
        return ModelCard(**{**content, "classes": classes, "sdm": sdm})
    except FileNotFoundError:
        raise UserError(f"{path}: not found; train the image model first") from None
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{path}: not the settings of an image model: {error}") from None


@torch.no_grad()
def _load_weights(network: SpadeUNet, weights: Tensors) -> None:
    for name, parameter in network.named_parameters():
        parameter.copy_(weights[name])
