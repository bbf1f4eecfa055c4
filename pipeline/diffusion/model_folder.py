"""The folder of a trained diffusion model, of images or of masks.

best/, last/ and a folder for each further candidate (EMA weights, loadable with `from_pretrained`),
state/ (what finetuning continues from), settings.json, curve.csv, curve.png, samples/, candidates/
(a sample grid of each where there are several) and training.json.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ModelMixin
from pydantic import ValidationError
from torch import nn

from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.images import write_image
from pipeline.io.manifests import ClassInfo
from pipeline.io.params import Settings
from pipeline.training.grids import SAMPLES_FOLDER
from pipeline.training.record import write_curve
from pipeline.training.state import STATE_FILE, Tensors, TrainingState

CANDIDATES_FOLDER = "candidates"
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


def read_kind(folder: Path) -> str:
    """The kind of a model.

    Raises:
        UserError: the folder holds no model.
    """
    path = folder / SETTINGS_FILE
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["kind"])
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run train-image-dm") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not the settings of a model: {error!r}") from None


def write_model_folder(
    folder: Path,
    network: ModelMixin,
    state: TrainingState,
    card: ModelCard,
    settings: TrainingSettings,
    work: Path,
    draw_grid: Callable[[], np.ndarray],
    figures: dict[str, Any] | None = None,
) -> None:
    """Write the folder of a finished training.

    Args:
        folder: empty; becomes the model's folder.
        network: of the right configuration; its weights are replaced.
        state: the final one.
        card: what one must know to use the weights.
        settings: of the training, which name what weights were chosen by.
        work: the folder the training ran in, for its sample grids.
        draw_grid: a picture of what `network` draws with the weights that it has at the call.
        figures: further ones for training.json.
    """
    timeless = replace(state, record=replace(state.record, seconds=0.0))  # same run, same bytes
    timeless.write(folder / "state" / STATE_FILE)
    checkpoints = {"best": state.best_by(settings.monitor), "last": state.average}
    checkpoints |= {name: state.best_by(name) for name in settings.candidates}
    for name, weights in checkpoints.items():
        load_weights(network, weights)
        network.save_pretrained(folder / name)
        if settings.candidates:
            write_image(folder / CANDIDATES_FOLDER / f"{name}.png", draw_grid())
    record, best = state.record, state.record.best
    write_json(folder / "state" / "state.json", {"step": record.steps_done})
    write_json(folder / SETTINGS_FILE, card.to_json())
    write_curve(folder, record)
    if (work / SAMPLES_FOLDER).exists():
        shutil.copytree(work / SAMPLES_FOLDER, folder / SAMPLES_FOLDER)
    write_json(
        folder / TRAINING_FILE,
        {
            "steps": record.steps_done,
            "monitor": settings.monitor,
            "best_step": best[settings.monitor].step,
            "best_value": best[settings.monitor].value,
            "candidates": {name: asdict(best[name]) for name in settings.candidates},
            "parameters": sum(tensor.numel() for tensor in state.weights.values()),
            **(figures or {}),
        },
    )


def load_network(kind: type[ModelMixin], folder: Path, checkpoint: str) -> ModelMixin:
    """A network of a model's folder, in evaluation mode on the CPU.

    Args:
        kind: its class.
        folder: the model's.
        checkpoint: weights of which moment.

    Raises:
        UserError: the folder has no such weights.
    """
    if not (folder / checkpoint).is_dir():
        kept = sorted(path.parent.name for path in folder.glob("*/config.json"))
        raise UserError(
            f"checkpoint: got {checkpoint}, but {folder} holds {', '.join(kept) or 'no weights'}; "
            "take one of these, or name it in training.candidates and train again"
        )
    try:
        network = kind.from_pretrained(
            folder / checkpoint, local_files_only=True, use_safetensors=True
        )
        return network.eval()
    except (OSError, ValueError, TypeError) as error:  # TypeError: config.json lacks a size
        raise UserError(f"{folder / checkpoint}: cannot be loaded: {error}") from None


@torch.no_grad()
def load_weights(network: nn.Module, weights: Tensors) -> None:
    """Put named weights into a network."""
    for name, parameter in network.named_parameters():
        parameter.copy_(weights[name])
