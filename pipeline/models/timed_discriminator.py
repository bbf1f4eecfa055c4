"""The time-conditioned discriminator of SynthSet (Heschl et al., "Discriminator").

An encoder over image and mask code, concatenated, with a time embedding of its own, as the noisier
the pair the less can be asked of it (Diffusion-GAN, Wang et al. 2023). It judges a pair as a whole:
one logit, from the mean over the coarsest features.
"""

from itertools import pairwise

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pipeline.io.params import Settings
from pipeline.models.pair_blocks import (
    DownBlock,
    LayerShape,
    Multipliers,
    ResidualLayers,
    TimeEmbedding,
    check_size,
    level_widths,
)
from pipeline.models.sizes import Blocks, Unshuffle, Width
from pipeline.models.spade import EPSILON, group_count


class DiscriminatorNetworkSettings(Settings):
    """Size and shape of the network; the defaults are those of a pair network's encoder."""

    width: Width = 32
    multipliers: Multipliers = Field([1, 2, 4, 8])
    blocks: Blocks = 2
    groups: int = Field(8, ge=1)
    unshuffle: Unshuffle = 1


def build_timed_discriminator(
    settings: DiscriminatorNetworkSettings,
    channels: int,
    size: tuple[int, int],
    name: str = "image_dm.pair.discriminator.network",
) -> "TimedDiscriminator":
    """The discriminator for pairs N×channels×height×width.

    Raises:
        UserError: `size` is not divisible by the total stride.
    """
    check_size(size, settings.multipliers, settings.unshuffle, name)
    return TimedDiscriminator(channels=channels, **settings.model_dump())


class TimedDiscriminator(ModelMixin, ConfigMixin):
    """Tells noisy real pairs from noisy generated ones.

    Args:
        channels: C of image and code together.
        width: channels of the first level; level i has width · multipliers[i].
        multipliers: see width; one down block between two levels.
        blocks: residual layers a block.
        groups: of the group normalisation; fewer where the channels cannot be divided.
        unshuffle: fold f×f pixels into channels at the input.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        channels: int,
        width: int,
        multipliers: list[float],
        blocks: int,
        groups: int,
        unshuffle: int,
    ) -> None:
        super().__init__()
        widths = level_widths(width, multipliers)
        shape = LayerShape(blocks, 4 * width, groups)
        self.time = TimeEmbedding(shape.time_channels)
        self.input = nn.Conv2d(channels * unshuffle**2, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(
            DownBlock(fine, coarse, shape) for fine, coarse in pairwise(widths)
        )
        self.end = ResidualLayers(widths[-1], widths[-1], shape, total=1)
        self.norm = nn.GroupNorm(group_count(groups, widths[-1]), widths[-1], EPSILON)
        self.output = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        """Judge.

        Args:
            x: image and code, float N×C×h×w.
            timesteps: integer N.

        Returns:
            Logits, float N; higher = more like a real pair.
        """
        time = self.time(timesteps)
        x = self.input(functional.pixel_unshuffle(x, self.config.unshuffle))
        for block in self.down:
            x, _ = block(x, time)
        x = functional.silu(self.norm(self.end(x, time)))
        return self.output(x.mean(dim=(2, 3))).squeeze(1)
