"""The kind `pair`: photo and mask drawn at once (SynthSet; architecture concat is SatSynth).

Everything random about a pair comes from its noise alone: there is no condition, so neither masks
nor guidance apply.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pipeline.data.augmentation import GeometricSettings
from pipeline.data.pairs import Pairs
from pipeline.diffusion.adversary import Adversary, AdversarySettings
from pipeline.diffusion.examples import Examples
from pipeline.diffusion.extras import Extras
from pipeline.diffusion.painting import Drawn
from pipeline.diffusion.pair_examples import PHOTO_CHANNELS, PairExamples, PairLayout
from pipeline.diffusion.sampling import SamplerSettings, Space, draw
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.params import Settings
from pipeline.models.label_codes import label_code
from pipeline.models.pair_unet import PairNetworkSettings, PairUNet, build_pair_unet

CodeName = Literal["one_hot", "bits"]


class PairDiffusionSettings(Settings):
    """What models that draw photo and mask share."""

    code: CodeName = "bits"  # of label maps as channels; SatSynth's are bits
    mask_weight: float = Field(1.0, gt=0)  # of a mask channel's error, where a photo's has 1
    diffusion: DiffusionSettings
    training: TrainingSettings

    @model_validator(mode="after")
    def _draws_masks(self) -> "PairDiffusionSettings":
        for name, given in (
            ("drop_rate", self.training.drop_rate),
            ("preview.guidance", self.training.preview.guidance),
        ):
            if given > 0:
                raise ValueError(f"training.{name} 0: nothing guides this model, got {given}")
        if self.diffusion.defect_weight != 1:
            # here the defects are what is drawn: the weighted mean is another distribution's
            raise ValueError(
                "diffusion.defect_weight 1: the model would draw larger defects than there are, "
                f"got {self.diffusion.defect_weight}"
            )
        if self.diffusion.loss == "hybrid":
            raise ValueError("diffusion.loss mse or l1: this network learns no variance")
        return self

    def channel_weights(self, code_channels: int) -> Tensor:
        """Of the loss, float 3+k with mean 1."""
        weights = torch.tensor([1.0] * PHOTO_CHANNELS + [self.mask_weight] * code_channels)
        return weights / weights.mean()


class PairSettings(PairDiffusionSettings):
    """Section `image_dm.pair`."""

    network: PairNetworkSettings
    discriminator: AdversarySettings


class PairKind:
    """See the module."""

    name = "pair"
    network_type = PairUNet

    def __init__(self, settings: PairSettings, autoencoder: Path) -> None:
        """`autoencoder` is not used."""
        self.settings = settings

    def inputs(self) -> dict[str, str]:
        """See ImageKind."""
        return {}

    def build(self, condition_channels: int, size: tuple[int, int]) -> nn.Module:
        """See ImageKind; there are as many labels as a condition would have channels."""
        code = label_code(self.settings.code, condition_channels)
        groups = self.settings.diffusion.output_groups
        return build_pair_unet(self.settings.network, code.channels, size, groups)

    def examples(self, pairs: Pairs, total_classes: int, seed: int, training: bool) -> Examples:
        """See ImageKind."""
        augment = self.settings.training.augment if training else GeometricSettings()
        layout = pair_layout(self.settings.code, total_classes, pairs.objects is not None)
        return PairExamples(pairs, augment, seed, layout)

    def painter(self, network: nn.Module, total_classes: int, with_object: bool) -> "PairPainter":
        """See ImageKind."""
        layout = pair_layout(self.settings.code, total_classes, with_object)
        return PairPainter(network, self.settings.diffusion, layout)

    def extras(self, condition_channels: int, size: tuple[int, int]) -> Extras:
        """See ImageKind; a new discriminator has torch's current random state."""
        settings, code = self.settings, label_code(self.settings.code, condition_channels)
        adversary = None
        if settings.discriminator.enabled:
            adversary = Adversary(settings.discriminator, PHOTO_CHANNELS + code.channels, size)
        return Extras(channel_weights=settings.channel_weights(code.channels), adversary=adversary)


@dataclass(frozen=True)
class PairPainter:
    """Draws photos with their label maps."""

    network: nn.Module
    diffusion: DiffusionSettings
    layout: PairLayout
    is_conditioned: bool = False

    def to(self, device: torch.device) -> None:
        """See Painter."""
        self.network.to(device, memory_format=torch.channels_last)

    def paint(
        self, conditions: Tensor, generators: list[torch.Generator], settings: SamplerSettings
    ) -> Drawn:
        """See Painter; conditions are N×0×H×W."""
        space = Space(self.layout.channels, *conditions.shape[2:], limit=1.0)
        x = draw(self.network, self.diffusion, conditions, generators, settings, space)
        return Drawn(*self.layout.decode(x))


def pair_layout(code: CodeName, total_classes: int, with_object: bool) -> PairLayout:
    """Of pairs of C classes, background included, with or without silhouettes."""
    labels = total_classes + int(with_object)
    return PairLayout(label_code(code, labels), total_classes, with_object)
