"""The folder of a trained diffusion model, of images or of masks.

best/ and last/ (EMA weights, loadable with `from_pretrained`), state/ (what finetuning continues
from), settings.json, curve.csv, curve.png, samples/ and training.json.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from pydantic import ValidationError
from torch import nn

from pipeline.diffusion.training import SAMPLES_FOLDER
from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo
from pipeline.io.params import Settings
from pipeline.training.record import write_curve
from pipeline.training.state import STATE_FILE, Tensors, TrainingState

SETTINGS_FILE = "settings.json"
TRAINING_FILE = "training.json"


@dataclass(frozen=True)
class ModelCard:
    """What one must know to use the weights; saved beside them."""

    kind: str
    settings: Settings  # of that kind
    inputs: dict[str, str]  # SHA-256 of the files of another stage that the model is built upon
    classes: list[ClassInfo]
    with_object: bool
    height: int
    width: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """As JSON-able dict."""
        return {**asdict(self), "settings": self.settings.model_dump()}


def read_card(folder: Path, settings: Mapping[str, type[Settings]], remedy: str) -> ModelCard:
    """The card of a trained model.

    Args:
        folder: the model's.
        settings: of each kind that the model may be of.
        remedy: what to do if there is no model.

    Raises:
        UserError: settings.json is missing or was written by another version.
    """
    path = folder / SETTINGS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        classes = [ClassInfo(c["index"], c["name"], tuple(c["colour"])) for c in content["classes"]]
        own = settings[content["kind"]].model_validate(content["settings"])
        return ModelCard(**{**content, "classes": classes, "settings": own})
    except FileNotFoundError:
        raise UserError(f"{path}: not found; {remedy}") from None
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{path}: not the settings of such a model: {error}") from None


def write_model_folder(
    folder: Path,
    network: ModelMixin,
    state: TrainingState,
    card: ModelCard,
    monitor: str,
    work: Path,
    figures: dict[str, Any] | None = None,
) -> None:
    """Write the folder of a finished training.

    Args:
        folder: empty; becomes the model's folder.
        network: of the right configuration; its weights are replaced.
        state: the final one.
        card: what one must know to use the weights.
        monitor: what `best` is best by.
        work: the folder the training ran in, for its sample grids.
        figures: further ones for training.json.
    """
    timeless = replace(state, record=replace(state.record, seconds=0.0))  # same run, same bytes
    timeless.write(folder / "state" / STATE_FILE)
    for name, weights in (("best", state.best), ("last", state.average)):
        load_weights(network, weights)
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
            "monitor": monitor,
            "best_step": record.best_step,
            "best_value": record.best_value,
            "parameters": sum(tensor.numel() for tensor in state.weights.values()),
            **(figures or {}),
        },
    )


@torch.no_grad()
def load_weights(network: nn.Module, weights: Tensors) -> None:
    """Put named weights into a network."""
    for name, parameter in network.named_parameters():
        parameter.copy_(weights[name])
