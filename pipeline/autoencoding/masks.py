"""Stage train-mask-autoencoder: of label maps, which hold masks and silhouettes.

With code `one_hot` or `bits` the autoencoder is made for labels: they are its channels, and its
loss is on their scores. With `rgb` it is one of photos, as in the All-Latent thesis: the mask is
dressed as a coloured picture, and a decoded pixel has the label whose colour is nearest.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.autoencoding.examples import Examples, LabelExamples
from pipeline.autoencoding.measurement import label_errors
from pipeline.autoencoding.objectives import LabelObjective, Objective, PhotoObjective
from pipeline.autoencoding.runs import Task, train_autoencoder
from pipeline.autoencoding.settings import MaskAutoencoderSettings
from pipeline.data.label_maps import label_colours, total_labels
from pipeline.data.split_pairs import read_pairs
from pipeline.io.manifests import ClassInfo, read_classes
from pipeline.models.autoencoder import Codec, MaskCodec
from pipeline.models.label_codes import LabelCode, label_code


@dataclass(frozen=True)
class _Labels:
    """The labels of a prepared set in the chosen code."""

    settings: MaskAutoencoderSettings
    classes: list[ClassInfo]
    code: LabelCode

    def as_codec(self, codec: Codec) -> MaskCodec:
        return MaskCodec(codec.autoencoder, codec.mean, codec.std, self.code)

    def errors(self, codec: Codec, examples: Examples, device: torch.device) -> dict[str, Any]:
        names = [item.name for item in self.classes]
        return label_errors(codec, self.code, examples, names, device)

    def objective(self, train: LabelExamples, device: torch.device) -> Objective:
        if self.settings.code == "rgb":
            return PhotoObjective(self.settings.rgb_loss, device)
        counts = np.bincount(train.labels().ravel(), minlength=self.code.total_labels)
        shares = torch.from_numpy(counts / counts.sum()).float()
        return LabelObjective(self.settings.loss, self.code, shares)


def train_mask_autoencoder(
    prepared: Path, out: Path, settings: MaskAutoencoderSettings, with_object: bool, seed: int
) -> None:
    """Train an autoencoder on the training masks of `prepared` and write the folder `out`.

    Args:
        prepared: the prepared set; its photos play no part.
        out: replaced whole at the end.
        settings: section `mask_autoencoder`.
        with_object: label maps hold the silhouettes too.
        seed: the pipeline's.

    Raises:
        UserError: data or parameters that do not fit.
    """
    train, val = (read_pairs(prepared, split, with_object) for split in ("train", "val"))
    classes = read_classes(prepared)
    colours = [item.colour for item in classes]
    labels = total_labels(len(classes), with_object)
    code = label_code(settings.code, labels, label_colours(colours, with_object))
    parts = _Labels(settings, classes, code)
    augment = settings.training.augment
    examples = LabelExamples(train, colours, code, augment, seed)
    is_rgb = settings.code == "rgb"
    task = Task(
        stage="train-mask-autoencoder",
        section="mask_autoencoder",
        settings=settings,
        channels=code.channels,
        train=examples,
        val=None if val is None else LabelExamples(val, colours, code, augment, seed),
        objective=lambda device: parts.objective(examples, device),
        latent_loss=settings.rgb_loss if is_rgb else settings.loss,
        adversarial=settings.rgb_loss.adversarial if is_rgb else None,
        as_codec=parts.as_codec,
        errors=parts.errors,
        code=settings.code,
        seed=seed,
    )
    train_autoencoder(task, prepared, out, key={"with_object": with_object})
