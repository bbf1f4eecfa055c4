"""Training a mask model on a prepared set, from its folder to the model's folder."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.data.label_maps import total_labels
from pipeline.data.pairs import Pairs
from pipeline.data.split_pairs import read_pairs
from pipeline.diffusion.extras import Extras
from pipeline.diffusion.mask_kinds import MASK_KIND_SETTINGS, MASK_KINDS, MaskKindSettings
from pipeline.diffusion.mask_model import DrawnMask, MaskModel, new_network
from pipeline.diffusion.model_folder import ModelCard, load_weights, write_model_folder
from pipeline.diffusion.previews import painted_masks
from pipeline.diffusion.sampling import SamplerSettings
from pipeline.diffusion.training import Trainer
from pipeline.io.atomic import output_folder
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.manifests import MANIFEST, read_classes
from pipeline.io.params import parse, section, value
from pipeline.io.seeding import derive_seed
from pipeline.io.store import open_store
from pipeline.models.conditioning import ConditionSettings
from pipeline.training.grids import spread, tile

DRAWN_AT_ONCE = 64

# names of what is implausible about a mask and its silhouette, the gravest first
Check = Callable[[np.ndarray, np.ndarray | None], list[str]]


@dataclass(frozen=True)
class MaskTraining:
    """What `train-mask-dm` is told by params.yaml."""

    kind: str
    settings: MaskKindSettings
    with_object: bool  # whether silhouettes are drawn with the masks
    check_count: int  # masks drawn at the end to count the implausible ones
    seed: int


def read_mask_training(params: dict[str, Any]) -> MaskTraining:
    """The parameters of the mask model.

    Raises:
        UserError: a parameter is wrong.
    """
    kind, count = value("mask_dm.kind", params), value("mask_dm.check_count", params)
    if kind not in MASK_KIND_SETTINGS:
        raise UserError(f"mask_dm.kind: got {kind!r}, expected {' or '.join(MASK_KIND_SETTINGS)}")
    if not isinstance(count, int) or count < 1:
        raise UserError(f"mask_dm.check_count: got {count!r}, expected a number of masks ≥ 1")
    name = f"mask_dm.{kind}"
    settings = parse(MASK_KIND_SETTINGS[kind], name, value(name, params))
    with_object = section(ConditionSettings, "condition", params).object
    return MaskTraining(kind, settings, with_object, count, value("seed", params))


def train_mask_model(
    stage: str,
    prepared: Path,
    autoencoder: Path,
    out: Path,
    job: MaskTraining,
    checker: Callable[[Pairs], Check],
) -> None:
    """Train a model and write its folder; resumes where an earlier process was killed.

    Args:
        stage: name of the stage, for its store.
        prepared: the prepared set; only its training and validation pairs are read.
        autoencoder: the folder of `train-mask-autoencoder`; read by the kind `latent`.
        out: the model's folder, replaced whole at the end.
        job: see there.
        checker: from the training pairs to what judges drawn masks.

    Raises:
        UserError: data or parameters that do not fit.
    """
    train, val = (read_pairs(prepared, split, job.with_object) for split in ("train", "val"))
    model = _new_model(read_classes(prepared), train, autoencoder, job)
    classes, settings, seed = model.card.classes, job.settings, derive_seed(job.seed, stage)
    preview = MaskPreview(val or train, model, seed)
    key = {
        "prepared": sha256_of(prepared / MANIFEST),
        "check_count": job.check_count,
        "card": model.card.to_json(),
    }
    with open_store(stage, key) as store:
        trainer = Trainer(
            model.network,
            model.kind.examples(train, len(classes), seed, training=True),
            None if val is None else model.kind.examples(val, len(classes), seed, training=False),
            settings.diffusion,
            settings.training,
            seed,
            store.path,
            Extras(draw_grid=preview.grid),
        )
        state = trainer.run()
        if not trainer.accelerator.is_main_process:
            return
        load_weights(model.network, state.average)
        figures = check_sample(model, checker(train), job.check_count, seed)
        with output_folder(out) as folder:
            write_model_folder(
                folder, model.network, state, model.card, settings.training,
                store.path, preview.grid, figures,
            )  # fmt: skip
        store.finish()
    # Printed and not written: equal trainings give equal files.
    print(f"{stage}: {state.record.steps_done} steps in {state.record.seconds:.0f} s")
    faults = ", ".join(f"{count} {name}" for name, count in figures["faults"].items())
    print(
        f"{stage}: {figures['implausible']} of {figures['checked']} drawn masks are implausible"
        + (f": {faults}" if faults else "")
    )


def check_sample(model: MaskModel, check: Check, count: int, seed: int) -> dict[str, Any]:
    """How many of `count` masks are implausible, drawn as the sample grids are, and why.

    A mask counts for its gravest fault only, so the faults add up to the implausible ones.
    """
    sampler = preview_sampler(model)
    found: Counter[str] = Counter()
    for first in range(0, count, DRAWN_AT_ONCE):
        indices = range(first, min(first + DRAWN_AT_ONCE, count))
        for mask, silhouette in model.draw(
            [derive_seed(seed, "check", i) for i in indices], sampler
        ):
            found.update(check(mask, silhouette)[:1])
    implausible = sum(found.values())
    return {
        "checked": count,
        "implausible": implausible,
        "implausible_share": implausible / count,
        "faults": dict(sorted(found.items())),
    }


def preview_sampler(model: MaskModel) -> SamplerSettings:
    """How grids and the check sample are drawn: between deterministic and ancestral sampling.

    Most of a mask is decided at much noise, and there a network that was trained briefly errs. A
    deterministic sampler keeps that as dents in the objects; fresh noise lets later steps mend it,
    but with all the noise of ancestral sampling small defects vanish.
    """
    steps = model.card.settings.training.preview.steps
    return SamplerSettings(sampler="ddim", eta=0.5, steps=steps)


@dataclass(frozen=True)
class MaskPreview:
    """Sample grids: real masks above, drawn ones below, with the same noise at every step."""

    pairs: Pairs
    model: MaskModel
    seed: int

    def grid(self) -> np.ndarray:
        """As uint8 H×W×3."""
        settings = self.model.card.settings.training.preview
        chosen = spread(len(self.pairs), settings.count)
        objects = [None] * len(self.pairs) if self.pairs.objects is None else self.pairs.objects
        real = [(self.pairs.masks[index], objects[index]) for index in chosen]
        seeds = [derive_seed(self.seed, "preview", i) for i in range(len(chosen))]
        drawn = self.model.draw(seeds, preview_sampler(self.model))
        return tile([("real", self._painted(real)), ("drawn", self._painted(drawn))])

    def _painted(self, pairs: list[DrawnMask]) -> np.ndarray:
        masks, silhouettes = zip(*pairs, strict=True)
        colours = [item.colour for item in self.model.card.classes]
        return painted_masks(np.stack(masks), silhouettes, colours)


def _new_model(classes: list, train: Pairs, autoencoder: Path, job: MaskTraining) -> MaskModel:
    with_object = train.objects is not None
    kind = MASK_KINDS[job.kind](job.settings, autoencoder, total_labels(len(classes), with_object))
    height, width = train.masks.shape[1:]
    torch.manual_seed(derive_seed(job.seed, "initial weights"))
    network = new_network(kind, height, width)
    card = ModelCard(
        job.kind, job.settings, kind.inputs(), classes, with_object, height, width, job.seed
    )
    return MaskModel(network, kind, card)
