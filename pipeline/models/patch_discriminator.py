"""The patch discriminator of Isola et al. 2017 (pix2pix), which VQGAN and LDM train against.

Strided convolutions judge overlapping patches, not the picture as a whole. Group normalisation in
place of batch normalisation, so that a verdict depends on nothing but its picture.
"""

from torch import Tensor, nn

SLOPE = 0.2
INITIAL_STD = 0.02  # of convolutions, as published
GROUPS = 8


class PatchDiscriminator(nn.Sequential):
    """Scores of patches, float N×1×h×w, of pictures float N×k×H×W; higher = more like a real one.

    Args:
        channels: k.
        width: channels of the first layer, doubled by each further one up to eightfold.
        layers: layers that halve the resolution; 3 see 70×70 pixels a score, 2 see 34, 1 sees 16.
    """

    def __init__(self, channels: int, width: int, layers: int) -> None:
        modules: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        before = width
        for layer in range(1, layers + 1):
            after = width * min(2**layer, 8)
            stride = 2 if layer < layers else 1
            modules += [
                nn.Conv2d(before, after, 4, stride, 1),
                nn.GroupNorm(GROUPS if after % GROUPS == 0 else 1, after),
                nn.LeakyReLU(SLOPE),
            ]
            before = after
        super().__init__(*modules, nn.Conv2d(before, 1, 4, 1, 1))
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return super().forward(x)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, INITIAL_STD)
        nn.init.zeros_(module.bias)
