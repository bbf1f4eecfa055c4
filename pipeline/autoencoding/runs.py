"""Training an autoencoder on a prepared set, from its folder to the autoencoder's folder.

The folder: config.json and weights (for `from_pretrained`), latents.json (statistics and code, for
`load_codec`), settings.json, training.json (errors), curve.csv, curve.png and samples/.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.autoencoding.examples import Examples
from pipeline.autoencoding.measurement import measure_latents
from pipeline.autoencoding.objectives import Objective
from pipeline.autoencoding.pretrained import load_pretrained
from pipeline.autoencoding.settings import (
    AdversarialSettings,
    AutoencoderSettings,
    LatentLossSettings,
    MaskAutoencoderSettings,
)
from pipeline.autoencoding.training import Trainer, training_device
from pipeline.io.atomic import output_folder, write_json
from pipeline.io.images import sha256_of
from pipeline.io.manifests import MANIFEST
from pipeline.io.seeding import derive_seed
from pipeline.io.store import open_store
from pipeline.models.autoencoder import Autoencoder, Codec, build_autoencoder, write_codec
from pipeline.models.label_codes import CodeName
from pipeline.training.grids import SAMPLES_FOLDER
from pipeline.training.record import Record, write_curve


@dataclass(frozen=True)
class Task:
    """What differs between photos and label maps."""

    stage: str
    section: str  # of the parameters
    settings: AutoencoderSettings | MaskAutoencoderSettings
    channels: int  # of the inputs
    train: Examples
    val: Examples | None
    objective: Callable[[torch.device], Objective]
    latent_loss: LatentLossSettings
    adversarial: AdversarialSettings | None
    as_codec: Callable[[Codec], Codec]  # a codec of label maps, for these
    errors: Callable[[Codec, Examples, torch.device], dict[str, Any]]
    code: CodeName | None
    seed: int


def train_autoencoder(task: Task, prepared: Path, out: Path, key: dict[str, Any]) -> None:
    """Train, or take a pretrained one as it is; measure, and write the folder `out`.

    Args:
        task: see there.
        prepared: the prepared set, for the store's key.
        out: replaced whole at the end.
        key: of the store, beside settings, seed and data: what else decides the result.

    Raises:
        UserError: data or parameters that do not fit.
    """
    autoencoder = _starting_point(task)
    autoencoder.latent_size(*task.train.plain([0]).x.shape[2:])  # refuses what it cannot halve
    training = task.settings.training
    key = key | {
        "settings": task.settings.model_dump(),
        "pretrained": _hashes(task.settings.pretrained),
        "prepared": sha256_of(prepared / MANIFEST),
        "seed": task.seed,
    }
    with open_store(task.stage, key) as store:
        record = Record()
        if training.max_steps > 0:
            record = _train(task, autoencoder, store.path)
        device = training_device()
        codec = task.as_codec(measure_latents(autoencoder, task.train, device))
        sets = {"train": task.train, "val": task.val}
        errors = {
            name: task.errors(codec, examples, device)
            for name, examples in sets.items()
            if examples is not None
        }
        with output_folder(out) as folder:
            write_codec(folder, codec.to("cpu"), task.code)
            _write_rest(folder, task, codec, record, errors, store.path)
        store.finish()
    # Printed and not written: equal trainings give equal files.
    print(f"{task.stage}: {record.steps_done} steps in {record.seconds:.0f} s")
    for name, figures in errors.items():
        print(f"  decode(encode(x)), {name}: {_as_text(figures)}")


def _starting_point(task: Task) -> Autoencoder:
    settings = task.settings
    if settings.pretrained is not None:
        return load_pretrained(settings.pretrained, task.channels, task.section)
    torch.manual_seed(derive_seed(task.seed, task.stage, "initial weights"))
    return build_autoencoder(settings.network, task.channels)


def _train(task: Task, autoencoder: Autoencoder, folder: Path) -> Record:
    trainer = Trainer(
        autoencoder=autoencoder,
        objective=task.objective(training_device()),
        latent_loss=task.latent_loss,
        adversarial=task.adversarial,
        train=task.train,
        val=task.val,
        settings=task.settings.training,
        is_new=task.settings.pretrained is None,
        seed=derive_seed(task.seed, task.stage),
        folder=folder,
    )
    return trainer.run().record


def _write_rest(
    folder: Path,
    task: Task,
    codec: Codec,
    record: Record,
    errors: dict[str, Any],
    work: Path,
) -> None:
    write_json(folder / "settings.json", task.settings.model_dump())
    if record.steps_done > 0:
        write_curve(folder, record)
    if (work / SAMPLES_FOLDER).exists():
        shutil.copytree(work / SAMPLES_FOLDER, folder / SAMPLES_FOLDER)
    height, width = task.train.plain([0]).x.shape[2:]
    content = {
        "steps": record.steps_done,
        "parameters": sum(p.numel() for p in codec.autoencoder.parameters()),
        "latent_shape": list(codec.latent_shape(height, width)),
        "errors": errors,
    }
    write_json(folder / "training.json", content)


def _hashes(pretrained: str | None) -> dict[str, str] | None:
    """Of the files of a local pretrained network, so that a changed one starts anew."""
    folder = None if pretrained is None else Path(pretrained).expanduser()
    if folder is None or not folder.is_dir():
        return None
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _as_text(figures: dict[str, Any]) -> str:
    parts = []
    for name, figure in figures.items():
        if isinstance(figure, dict):
            parts.append(f"{name} ({_as_text(figure)})")
        else:
            parts.append(f"{name} {'none' if figure is None else f'{figure:.4g}'}")
    return ", ".join(parts)
