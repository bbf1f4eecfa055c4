"""The kinds of mask model that `mask_dm.kind` may name, both unconditional.

`latent` denoises latents of the mask autoencoder, as the All-Latent thesis does (chapter 5);
`pixel` the label map itself as channels, as Macháček et al. do with the model of Nichol & Dhariwal
2021. Drawn values become labels by the nearest codeword: arg-max, or a threshold for one channel.
"""

from pathlib import Path
from typing import Literal, Protocol

import torch
from pydantic import model_validator
from torch import Tensor

from pipeline.data.augmentation import GeometricSettings
from pipeline.data.pairs import Pairs
from pipeline.diffusion.examples import Examples
from pipeline.diffusion.latents import LatentModelSettings
from pipeline.diffusion.mask_examples import LabelExamples, encoded_labels
from pipeline.diffusion.painting import latent_space
from pipeline.diffusion.sampling import Space
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.diffusion.training_settings import COLOUR_DIVERGENCE, TrainingSettings
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.params import Settings
from pipeline.models.autoencoder import load_mask_codec
from pipeline.models.concat_unet import ConcatNetworkSettings
from pipeline.models.label_codes import label_code


class MaskKindSettings(Settings):
    """What both kinds share."""

    network: ConcatNetworkSettings
    diffusion: DiffusionSettings
    training: TrainingSettings

    @model_validator(mode="after")
    def _is_unconditional(self) -> "MaskKindSettings":
        for name, given in (
            ("drop_rate", self.training.drop_rate),
            ("preview.guidance", self.training.preview.guidance),
        ):
            if given > 0:
                raise ValueError(f"training.{name} 0: a mask model has no condition, got {given}")
        if COLOUR_DIVERGENCE in self.training.monitors:
            raise ValueError("training.monitor and candidates: masks have no colours to compare")
        if self.diffusion.defect_weight != 1:
            # here the defects are what is drawn: the weighted mean is another distribution's
            raise ValueError(
                "diffusion.defect_weight 1: a mask model would draw larger defects than there "
                f"are, got {self.diffusion.defect_weight}"
            )
        return self


class LatentMaskSettings(LatentModelSettings, MaskKindSettings):
    """Section `mask_dm.latent`."""


class PixelMaskSettings(MaskKindSettings):
    """Section `mask_dm.pixel`."""

    code: Literal["one_hot", "bits"]  # of the label maps as channels


class MaskKind(Protocol):
    """One kind with its settings, for label maps of a number of labels."""

    name: str
    settings: MaskKindSettings

    def inputs(self) -> dict[str, str]:
        """SHA-256 by name of what the model is built upon beside the prepared set."""

    def space(self, height: int, width: int) -> Space:
        """What is denoised for label maps of that size."""

    def examples(self, pairs: Pairs, total_classes: int, seed: int, training: bool) -> Examples:
        """Masks as the network sees them, augmented if for `training`."""

    def decode(self, x: Tensor) -> Tensor:
        """Labels uint8 N×H×W, on the CPU, of drawn values N×C×h×w."""


class LatentKind:
    """Latents of the mask autoencoder."""

    name = "latent"

    def __init__(self, settings: LatentMaskSettings, autoencoder: Path, total_labels: int) -> None:
        """`autoencoder` is the folder of `train-mask-autoencoder`.

        Raises:
            UserError: it holds no autoencoder of masks, or one for other labels.
        """
        self.settings, self.folder = settings, autoencoder
        self.codec = load_mask_codec(autoencoder)
        if self.codec.code.total_labels != total_labels:
            raise UserError(
                f"{autoencoder}: was trained for {self.codec.code.total_labels} labels, expected "
                f"{total_labels}; run train-mask-autoencoder again"
            )

    def inputs(self) -> dict[str, str]:
        """See MaskKind."""
        files = [*self.folder.glob("*.safetensors"), self.folder / "latents.json"]
        return {path.name: sha256_of(path) for path in sorted(files)}

    def space(self, height: int, width: int) -> Space:
        """See MaskKind."""
        return latent_space(self.codec, height, width)

    def examples(self, pairs: Pairs, total_classes: int, seed: int, training: bool) -> Examples:
        """See MaskKind."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.codec.to(device)
        return encoded_labels(
            pairs,
            total_classes,
            lambda labels: self.codec.encode_labels(labels.to(device)).cpu(),
            self.settings.training.augment,
            self.settings.latents.copies if training else 1,
            seed,
        )

    def decode(self, x: Tensor) -> Tensor:
        """See MaskKind."""
        return self.codec.to(x.device).decode_labels(x).cpu()


class PixelKind:
    """The label map itself, as channels of a code."""

    name = "pixel"

    def __init__(self, settings: PixelMaskSettings, autoencoder: Path, total_labels: int) -> None:
        """`autoencoder` is not used."""
        self.settings = settings
        self.code = label_code(settings.code, total_labels)

    def inputs(self) -> dict[str, str]:
        """See MaskKind."""
        return {}

    def space(self, height: int, width: int) -> Space:
        """See MaskKind."""
        return Space(self.code.channels, height, width, limit=1.0)

    def examples(self, pairs: Pairs, total_classes: int, seed: int, training: bool) -> Examples:
        """See MaskKind."""
        augment = self.settings.training.augment if training else GeometricSettings()
        return LabelExamples(pairs, total_classes, self.code.encode, augment, seed)

    def decode(self, x: Tensor) -> Tensor:
        """See MaskKind."""
        return self.code.decode(x).cpu()


MASK_KINDS: dict[str, type[LatentKind] | type[PixelKind]] = {
    "latent": LatentKind,
    "pixel": PixelKind,
}
MASK_KIND_SETTINGS: dict[str, type[LatentMaskSettings] | type[PixelMaskSettings]] = {
    "latent": LatentMaskSettings,
    "pixel": PixelMaskSettings,
}
