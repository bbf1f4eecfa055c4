"""Sections `autoencoder` and `mask_autoencoder` of the parameters.

Defaults are those of LDM's VQ-f4 (Rombach et al. 2022) where it has them.
"""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.data.augmentation import GeometricSettings
from pipeline.io.params import Settings
from pipeline.models.autoencoder import AutoencoderNetworkSettings
from pipeline.models.label_codes import CodeName
from pipeline.models.sizes import Channels
from pipeline.training.learning_rate import LearningRateSettings
from pipeline.training.precision import Precision


class LatentLossSettings(Settings):
    """What keeps latents in bounds; each weight is used by its kind of network alone."""

    codebook_weight: float = Field(1.0, ge=0)  # vq: codebook and commitment
    kl_weight: float = Field(1e-6, ge=0)  # kl: divergence from a standard normal, per value of x


class AdversarialSettings(Settings):
    """The patch discriminator that photos are reconstructed against."""

    weight: float = Field(0.75, ge=0)  # 0 = none
    start_step: int = Field(0, ge=0)
    width: Channels = 64
    layers: int = Field(3, ge=1, le=16)  # that halve the resolution


class PhotoLossSettings(LatentLossSettings):
    """How a reconstructed photo is judged."""

    pixel: Literal["l1", "l2"] = "l1"
    defect_weight: float = Field(1.0, gt=0)  # of pixels of all classes but the background
    perceptual_weight: float = Field(1.0, ge=0)  # 0 = none
    adversarial: AdversarialSettings = AdversarialSettings()


class MaskLossSettings(LatentLossSettings):
    """How a reconstructed label map is judged: cross-entropy and Dice on the labels' scores."""

    # 0 = every pixel weighs the same, 1 = every label does; in between, a power of its share
    class_balance: float = Field(0.5, ge=0, le=1)
    dice_weight: float = Field(1.0, ge=0)


class ReconstructionPreviewSettings(Settings):
    """When grids of originals and reconstructions are drawn."""

    every_steps: int | None = Field(None, ge=1)  # None = no grids
    count: int = Field(8, ge=1)


class AutoencoderTrainingSettings(LearningRateSettings):
    """Length, optimiser, precision and monitoring."""

    max_steps: int = Field(ge=0)  # 0 = a pretrained one as it is
    batch_size: int = Field(8, ge=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)  # None = gradients are not clipped
    precision: Precision = "fp32"
    threads: int | None = Field(None, ge=1)  # None = all cores
    augment: GeometricSettings = GeometricSettings()
    evaluate_every_steps: int | None = Field(None, ge=1)  # None = no validation loss
    log_every_steps: int = Field(50, ge=1)
    checkpoint_every_s: float = Field(300.0, ge=0)  # 0 = after each step
    preview: ReconstructionPreviewSettings = ReconstructionPreviewSettings()


class _PretrainedSettings(Settings):
    # a folder, or owner/name[/subfolder] on the hub; None = a new network of `network`
    pretrained: str | None = None
    network: AutoencoderNetworkSettings
    training: AutoencoderTrainingSettings

    @field_validator("training")
    @classmethod
    def _new_network_needs_training(
        cls, training: AutoencoderTrainingSettings, info: ValidationInfo
    ) -> AutoencoderTrainingSettings:
        if training.max_steps == 0 and info.data.get("pretrained") is None:
            raise ValueError("max_steps from 1, as only a pretrained autoencoder needs no training")
        return training


class AutoencoderSettings(_PretrainedSettings):
    """Section `autoencoder`: of photos."""

    loss: PhotoLossSettings


class MaskAutoencoderSettings(_PretrainedSettings):
    """Section `mask_autoencoder`: of label maps."""

    code: CodeName = "one_hot"
    loss: MaskLossSettings  # one_hot, bits
    rgb_loss: PhotoLossSettings  # rgb: the mask is a picture like any other
