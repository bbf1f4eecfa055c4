"""A mask model: what it draws, and its folder as `train-mask-dm` writes and `sample` reads it.

The folder is that of `pipeline.diffusion.model_folder`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState

from pipeline.data.label_maps import split_labels, total_labels
from pipeline.data.pairs import Pairs
from pipeline.diffusion.mask_kinds import (
    MASK_KIND_SETTINGS,
    MASK_KINDS,
    MaskKind,
)
from pipeline.diffusion.model_folder import ModelCard, load_network, read_card
from pipeline.diffusion.sampling import (
    Checkpoint,
    SamplerSettings,
    UnguidedSamplerSettings,
    draw,
)
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo
from pipeline.models.concat_unet import ConcatUNet, build_concat_unet

DrawnMask = tuple[np.ndarray, np.ndarray | None]  # mask uint8 H×W, silhouette bool H×W or None


class MaskSamplingSettings(UnguidedSamplerSettings):
    """How masks are drawn: section `masks.diffusion.sampling`."""

    checkpoint: Checkpoint


@dataclass(frozen=True)
class MaskModel:
    """Draws masks with the weights that its network has at the call."""

    network: ConcatUNet
    kind: MaskKind
    card: ModelCard

    def draw(self, seeds: Sequence[int], settings: SamplerSettings) -> list[DrawnMask]:
        """A mask, and a silhouette where the training masks have one, for each seed."""
        card = self.card
        space = self.kind.space(card.height, card.width)
        x = draw(
            self.network,
            card.settings.diffusion,
            torch.zeros(len(seeds), 0, space.height, space.width),
            [torch.Generator().manual_seed(seed) for seed in seeds],
            settings,
            space,
        )  # N×C×h×w
        labels = self.kind.decode(x).numpy()  # N×H×W
        masks, objects = split_labels(labels, len(card.classes), card.with_object)
        silhouettes = [None] * len(masks) if objects is None else list(objects)
        return list(zip(masks, silhouettes, strict=True))


def new_network(kind: MaskKind, height: int, width: int) -> ConcatUNet:
    """A new network for label maps of that size, with torch's current random state."""
    space = kind.space(height, width)
    return build_concat_unet(
        kind.settings.network,
        space.channels,
        (space.height, space.width),
        condition_inputs=0,
        output_groups=kind.settings.diffusion.output_groups,
        name=f"mask_dm.{kind.name}.network",
    )


def load_mask_model(
    folder: Path,
    checkpoint: Checkpoint,
    autoencoder: Path,
    classes: list[ClassInfo],
    train: Pairs,
) -> MaskModel:
    """A trained mask model in evaluation mode, on this process's device.

    Args:
        folder: the model's.
        checkpoint: weights of which moment.
        autoencoder: the folder of `train-mask-autoencoder`; read by the kind `latent`.
        classes: of the prepared set.
        train: its training pairs.

    Raises:
        UserError: the folder holds no mask model, or one for other data or another autoencoder.
    """
    card = read_card(
        folder, MASK_KIND_SETTINGS, "set masks.source to diffusion and run train-mask-dm"
    )
    _check_fits(card, folder, classes, train)
    labels = total_labels(len(card.classes), card.with_object)
    kind = MASK_KINDS[card.kind](card.settings, autoencoder, labels)
    if kind.inputs() != card.inputs:
        raise UserError(
            f"{folder}: was trained on another autoencoder than {autoencoder} holds; run "
            "train-mask-dm again"
        )
    network = load_network(ConcatUNet, folder, checkpoint)
    network.to(PartialState().device, memory_format=torch.channels_last)
    return MaskModel(network, kind, card)


def _check_fits(card: ModelCard, folder: Path, classes: list[ClassInfo], train: Pairs) -> None:
    got = (card.classes, card.with_object, (card.height, card.width))
    expected = (classes, train.objects is not None, train.masks.shape[1:])
    names = ("classes", "silhouettes", "size")
    wrong = [name for name, a, b in zip(names, got, expected, strict=True) if a != b]
    if wrong:
        raise UserError(
            f"{folder}: was trained on masks of other {' and '.join(wrong)} than the prepared "
            "set has; run train-mask-dm again"
        )
