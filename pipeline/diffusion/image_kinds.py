"""The kinds of image model that `image_dm.kind` may name: what they are made of and trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from pipeline.data.augmentation import GeometricSettings
from pipeline.data.pairs import Pairs
from pipeline.diffusion.examples import (
    EncodedExamples,
    Examples,
    PhotoExamples,
    augmented_copies,
    to_tensors,
)
from pipeline.diffusion.extras import Extras
from pipeline.diffusion.latents import LatentModelSettings
from pipeline.diffusion.painting import LatentPainter, Painter, PixelPainter, latent_space
from pipeline.diffusion.pair_kind import PairKind, PairSettings
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.params import Settings, section, value
from pipeline.models.autoencoder import load_codec
from pipeline.models.concat_unet import ConcatNetworkSettings, ConcatUNet, build_concat_unet
from pipeline.models.spade_unet import NetworkSettings, SpadeUNet, build_network

ENCODED_AT_ONCE = 32
COPY_PASTE = "copy_paste"  # a kind of image_dm.kind that is no diffusion model
UNCONDITIONED_KINDS = (PairKind.name, COPY_PASTE)  # they make masks with their photos


class SdmSettings(Settings):
    """Section `image_dm.sdm`: the semantic diffusion model of Wang et al. 2022."""

    network: NetworkSettings
    diffusion: DiffusionSettings
    training: TrainingSettings


class LdmSettings(LatentModelSettings):
    """Section `image_dm.ldm`: latent diffusion with the mask concatenated, Rombach et al. 2022."""

    network: ConcatNetworkSettings


class ImageKind(Protocol):
    """One kind with its settings."""

    name: str
    settings: SdmSettings | LdmSettings | PairSettings
    network_type: type[nn.Module]

    def inputs(self) -> dict[str, str]:
        """SHA-256 by name of what the model is built upon beside the prepared set."""

    def build(self, condition_channels: int, size: tuple[int, int]) -> nn.Module:
        """A new network for photos of height × width `size`."""

    def examples(self, pairs: Pairs, total_classes: int, seed: int, training: bool) -> Examples:
        """Pairs as the network sees them, augmented if for `training`."""

    def painter(self, network: nn.Module, total_classes: int, with_object: bool) -> Painter:
        """What draws photos with `network`."""

    def extras(self, condition_channels: int, size: tuple[int, int]) -> Extras:
        """What the training has beside the network and its loss."""


class SdmKind:
    """Pixels, mask through SPADE."""

    name = "sdm"
    network_type = SpadeUNet

    def __init__(self, settings: SdmSettings, autoencoder: Path) -> None:
        """`autoencoder` is not used."""
        self.settings = settings

    def inputs(self) -> dict[str, str]:
        """See ImageKind."""
        return {}

    def build(self, condition_channels: int, size: tuple[int, int]) -> nn.Module:
        """See ImageKind."""
        groups = self.settings.diffusion.output_groups
        return build_network(self.settings.network, condition_channels, groups, size)

    def examples(self, pairs: Pairs, total_classes: int, seed: int, training: bool) -> Examples:
        """See ImageKind."""
        augment = self.settings.training.augment if training else GeometricSettings()
        return PhotoExamples(pairs, augment, seed, total_classes)

    def painter(self, network: nn.Module, total_classes: int, with_object: bool) -> Painter:
        """See ImageKind."""
        return PixelPainter(network, self.settings.diffusion)

    def extras(self, condition_channels: int, size: tuple[int, int]) -> Extras:
        """See ImageKind."""
        return Extras()


class LdmKind:
    """Latents of the photo autoencoder, mask rescaled and concatenated."""

    name = "ldm"
    network_type = ConcatUNet

    def __init__(self, settings: LdmSettings, autoencoder: Path) -> None:
        """`autoencoder` is the folder of `train-autoencoder`.

        Raises:
            UserError: it holds no autoencoder of photos.
        """
        self.settings, self.folder = settings, autoencoder
        self.codec = load_codec(autoencoder)

    def inputs(self) -> dict[str, str]:
        """See ImageKind."""
        files = [*self.folder.glob("*.safetensors"), self.folder / "latents.json"]
        return {path.name: sha256_of(path) for path in sorted(files)}

    def build(self, condition_channels: int, size: tuple[int, int]) -> nn.Module:
        """See ImageKind."""
        space = latent_space(self.codec, *size)
        return build_concat_unet(
            self.settings.network,
            space.channels,
            (space.height, space.width),
            condition_channels,
            self.settings.diffusion.output_groups,
        )

    @torch.no_grad()
    def examples(self, pairs: Pairs, total_classes: int, seed: int, training: bool) -> Examples:
        """See ImageKind."""
        self.settings.training.use_threads()  # or a resumed training would see other latents
        copies = self.settings.latents.copies if training else 1
        pairs = augmented_copies(pairs, self.settings.training.augment, copies, seed)
        self.codec.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        latents = []
        for first in range(0, len(pairs), ENCODED_AT_ONCE):
            part = slice(first, first + ENCODED_AT_ONCE)
            photos, _, _ = to_tensors(pairs.images[part], pairs.masks[part], [None])
            latents.append(self.codec.encode(photos.to(self.codec.mean.device)).cpu())  # n×c×h×w
        return EncodedExamples(
            x0=torch.cat(latents),
            masks=pairs.masks,
            objects=pairs.objects,
            copies=copies,
            total_classes=total_classes,
            conditioned=True,
            seed=seed,
        )

    def painter(self, network: nn.Module, total_classes: int, with_object: bool) -> Painter:
        """See ImageKind."""
        return LatentPainter(network, self.settings.diffusion, self.codec)

    def extras(self, condition_channels: int, size: tuple[int, int]) -> Extras:
        """See ImageKind."""
        return Extras()


IMAGE_SETTINGS: dict[str, type[SdmSettings] | type[LdmSettings] | type[PairSettings]] = {
    "sdm": SdmSettings,
    "ldm": LdmSettings,
    "pair": PairSettings,
}
IMAGE_KINDS: dict[str, type[SdmKind] | type[LdmKind] | type[PairKind]] = {
    "sdm": SdmKind,
    "ldm": LdmKind,
    "pair": PairKind,
}


def read_image_kind(params: Mapping[str, Any], autoencoder: Path) -> ImageKind:
    """The kind that params.yaml chooses, with its settings.

    Args:
        params: all parameters.
        autoencoder: the folder of `train-autoencoder`; read by the kinds that need it.

    Raises:
        UserError: a kind that is not known, or wrong settings.
    """
    name = value("image_dm.kind", params)
    if name not in IMAGE_KINDS:
        known = ", ".join([*IMAGE_KINDS, COPY_PASTE])
        raise UserError(f"image_dm.kind: got {name!r}, expected one of {known}")
    settings = section(IMAGE_SETTINGS[name], f"image_dm.{name}", params)
    return IMAGE_KINDS[name](settings, autoencoder)
