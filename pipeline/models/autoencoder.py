"""Autoencoders of photos and of label maps, and their latents as a diffusion model sees them.

VQ: vector-quantised, after Esser et al. 2021 (VQGAN); KL: with a Gaussian posterior; both with the
networks of Rombach et al. 2022 (LDM), in diffusers' implementations. With the defaults below the
VQ network is LDM's VQ-f4 (55.3 M parameters). A diffusion model works on the latents *before*
quantisation, brought to mean 0 and standard deviation 1; decoding quantises.

For small budgets the input may be pixel-unshuffled (Shi et al. 2016): the network then works at
1/unshuffle of the resolution. On the demo it is as good in 20 s of training as without in 60.
"""

import json
import math
from pathlib import Path
from typing import Literal

import torch
from diffusers import AutoencoderKL, VQModel
from diffusers.models.autoencoders.vq_model import VQEncoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from pydantic import Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.params import Settings
from pipeline.io.unused import UNUSED_FILE
from pipeline.models.label_codes import CodeName, LabelCode
from pipeline.models.sizes import Blocks, Channels, Multiplier, Unshuffle, Width

Network = VQModel | AutoencoderKL

LATENTS_FILE = "latents.json"
CONSTANT = 1e-6  # a latent channel that varies less carries nothing and is left as it is
NETWORKS: dict[str, type[Network]] = {"vq": VQModel, "kl": AutoencoderKL}


class AutoencoderNetworkSettings(Settings):
    """Size and shape of an autoencoder; the defaults are LDM's VQ-f4."""

    kind: Literal["vq", "kl"] = "vq"
    width: Width = 128
    # one a level; each but the first halves the resolution
    multipliers: list[Multiplier] = Field([1, 2, 4], min_length=1)
    blocks: Blocks = 2  # the decoder has one more
    attention: bool = True  # in the middle
    latent_channels: Channels = 3
    codebook_size: int = Field(8192, ge=2, le=2**20)  # vq: entries
    groups: int = Field(32, ge=1)  # of the group normalisation, fewer if they do not divide
    unshuffle: Unshuffle = 1

    @property
    def channels(self) -> list[int]:
        """Of each level."""
        return [round(self.width * multiplier) for multiplier in self.multipliers]

    @property
    def factor(self) -> int:
        """By which latents are smaller than inputs in height and width."""
        return self.unshuffle * 2 ** (len(self.multipliers) - 1)


class Autoencoder(nn.Module):
    """A network of diffusers behind a pixel-unshuffle.

    Args:
        network: for inputs of channels · unshuffle² channels.
        unshuffle: 1 = the network sees the inputs as they are.
    """

    def __init__(self, network: Network, unshuffle: int = 1) -> None:
        super().__init__()
        self.network, self.unshuffle = network, unshuffle
        self.kind = next(kind for kind, type_ in NETWORKS.items() if isinstance(network, type_))
        self.factor = unshuffle * 2 ** (len(network.config.block_out_channels) - 1)
        self.channels: int = network.config.in_channels // unshuffle**2

    def encode(self, x: Tensor) -> VQEncoderOutput | AutoencoderKLOutput:
        """What the network makes of inputs N×k×H×W."""
        return self.network.encode(functional.pixel_unshuffle(x, self.unshuffle))

    def latents(self, x: Tensor) -> Tensor:
        """Latents N×c×h×w as the network has them: VQ before quantisation, KL the mean."""
        encoded = self.encode(x)
        return encoded.latents if self.kind == "vq" else encoded.latent_dist.mean

    def decode(self, latents: Tensor, is_quantised: bool = False) -> Tensor:
        """Outputs N×k×H×W, not clipped, of the network's own latents; VQ quantises them first."""
        options = {"force_not_quantize": is_quantised} if self.kind == "vq" else {}
        decoded = self.network.decode(latents, **options).sample
        return functional.pixel_shuffle(decoded, self.unshuffle)

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) of the latents of a height × width input.

        Raises:
            UserError: the factor does not divide a side.
        """
        for name, side in (("height", height), ("width", width)):
            if side % self.factor:
                raise UserError(
                    f"image.{name}: got {side}, expected a multiple of {self.factor}, by which "
                    "the autoencoder shrinks it; change it, or take fewer network.multipliers or "
                    "a smaller network.unshuffle"
                )
        return height // self.factor, width // self.factor


def build_autoencoder(settings: AutoencoderNetworkSettings, channels: int) -> Autoencoder:
    """A new network for inputs of `channels` channels, with torch's current random state."""
    levels = len(settings.multipliers)
    own = {
        "vq": {"num_vq_embeddings": settings.codebook_size, "scaling_factor": 1.0},
        "kl": {"scaling_factor": 1.0, "force_upcast": False},
    }
    folded = channels * settings.unshuffle**2
    network = NETWORKS[settings.kind](
        in_channels=folded,
        out_channels=folded,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(settings.channels),
        layers_per_block=settings.blocks,
        latent_channels=settings.latent_channels,
        norm_num_groups=math.gcd(settings.groups, *settings.channels),
        mid_block_add_attention=settings.attention,
        **own[settings.kind],
    )
    return Autoencoder(network, settings.unshuffle)


class Codec:
    """A trained autoencoder with the statistics of its latents; without gradients.

    Args:
        autoencoder: in evaluation mode from here on.
        mean, std: of each latent channel over the training set, float32 of shape c.
    """

    def __init__(self, autoencoder: Autoencoder, mean: Tensor, std: Tensor) -> None:
        self.autoencoder = autoencoder.eval().requires_grad_(False)
        self.network = autoencoder.network
        self.factor = autoencoder.factor
        self.mean, self.std = mean, std

    @property
    def latent_channels(self) -> int:
        """The c of the latents' shape."""
        return len(self.mean)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(c, h, w) of the latents of a height × width input.

        Raises:
            UserError: the factor does not divide a side.
        """
        return self.latent_channels, *self.autoencoder.latent_size(height, width)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Normalised latents: VQ before quantisation, KL the posterior's mean.

        Args:
            x: float N×k×H×W in [−1, 1].

        Returns:
            float32 N×c×h×w, per channel of mean 0 and standard deviation 1 on the training set.

        Raises:
            UserError: the factor does not divide the size.
        """
        self.latent_shape(*x.shape[2:])
        latents = self.autoencoder.latents(x).float()  # N×c×h×w
        return (latents - self.mean.view(1, -1, 1, 1)) / self.std.view(1, -1, 1, 1)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """What normalised latents N×c×h×w stand for, float32 N×k×H×W, not clipped; VQ quantises."""
        latents = z * self.std.view(1, -1, 1, 1) + self.mean.view(1, -1, 1, 1)
        return self.autoencoder.decode(latents).float()

    def to(self, device: torch.device | str) -> "Codec":
        """This codec, moved."""
        self.autoencoder.to(device)
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        return self


class MaskCodec(Codec):
    """A codec of label maps."""

    def __init__(
        self, autoencoder: Autoencoder, mean: Tensor, std: Tensor, code: LabelCode
    ) -> None:
        super().__init__(autoencoder, mean, std)
        assert code.channels == autoencoder.channels, (code.channels, autoencoder.channels)
        self.code = code

    def encode_labels(self, labels: Tensor) -> Tensor:
        """Normalised latents float32 N×c×h×w of integer labels N×H×W."""
        return self.encode(self.code.encode(labels))

    def decode_labels(self, z: Tensor) -> Tensor:
        """Labels uint8 N×H×W of normalised latents N×c×h×w."""
        return self.code.decode(self.decode(z))


def with_statistics(autoencoder: Autoencoder, mean: Tensor, std: Tensor) -> Codec:
    """A codec with measured statistics; a channel that is constant is not divided by 0."""
    return Codec(autoencoder, mean, torch.where(std < CONSTANT, torch.ones_like(std), std))


class _Description(Settings):
    """The file latents.json."""

    kind: Literal["vq", "kl"]
    factor: int
    unshuffle: int
    latent_channels: int
    mean: list[float]
    std: list[float]
    code: CodeName | None  # None: photos
    labels: int | None
    codewords: list[list[float]] | None  # labels × channels


def write_codec(folder: Path, codec: Codec, code: CodeName | None = None) -> None:
    """Write config.json, the weights (both for `from_pretrained`) and latents.json into `folder`.

    `code` names the label code of a MaskCodec.
    """
    assert (code is not None) == isinstance(codec, MaskCodec), code
    words = codec.code.codebook.tolist() if isinstance(codec, MaskCodec) else None
    codec.network.save_pretrained(folder)
    description = _Description(
        kind=codec.autoencoder.kind,
        factor=codec.factor,
        unshuffle=codec.autoencoder.unshuffle,
        latent_channels=codec.latent_channels,
        mean=codec.mean.tolist(),
        std=codec.std.tolist(),
        code=code,
        labels=None if words is None else len(words),
        codewords=words,
    )
    write_json(folder / LATENTS_FILE, description.model_dump())


def load_codec(folder: Path) -> Codec:
    """The codec of photos that `train-autoencoder` wrote, on the CPU.

    Raises:
        UserError: the folder holds none, or one of label maps.
    """
    description = _read_description(folder, "train-autoencoder")
    if description.codewords is not None:
        raise UserError(f"{folder}: is an autoencoder of masks, expected one of photos")
    return Codec(*_load_parts(folder, description))


def load_mask_codec(folder: Path) -> MaskCodec:
    """The codec of label maps that `train-mask-autoencoder` wrote, on the CPU.

    Raises:
        UserError: the folder holds none, or one of photos.
    """
    description = _read_description(folder, "train-mask-autoencoder")
    if description.codewords is None:
        raise UserError(f"{folder}: is an autoencoder of photos, expected one of masks")
    code = LabelCode(torch.tensor(description.codewords))
    return MaskCodec(*_load_parts(folder, description), code)


def read_unshuffle(folder: Path) -> int:
    """Of an autoencoder's folder; 1 if it is of diffusers and not of ours."""
    if not (folder / LATENTS_FILE).exists():
        return 1
    return _read_description(folder, "train-autoencoder").unshuffle


def _read_description(folder: Path, stage: str) -> _Description:
    path, unused = folder / LATENTS_FILE, folder / UNUSED_FILE
    if unused.exists():
        reason = json.loads(unused.read_text(encoding="utf-8"))["reason"]
        raise UserError(f"{folder}: holds no autoencoder, as {reason}; change that and run {stage}")
    try:
        return _Description.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run {stage} first") from None
    except (ValueError, ValidationError) as error:
        raise UserError(f"{path}: not the statistics of latents: {error}") from None


def _load_parts(folder: Path, description: _Description) -> tuple[Autoencoder, Tensor, Tensor]:
    try:
        network = NETWORKS[description.kind].from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder}: the autoencoder cannot be loaded: {error}") from None
    autoencoder = Autoencoder(network, description.unshuffle)
    return autoencoder, torch.tensor(description.mean), torch.tensor(description.std)
