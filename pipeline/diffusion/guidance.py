"""Classifier-free guidance (Ho & Salimans 2022) in the scale of the All-Latent/ISDM thesis.

Equation 3.12 of the thesis: ε = (1 + s)·ε(x, t, y) − s·ε(x, t, ∅). s = 0 means no guidance. SDM's
code and diffusers name w = 1 + s. The weights add up to 1, and x₀ and v are affine in ε for a
given x and t, so the same equation guides networks that predict x₀ or v.
"""

import torch
from torch import Tensor, nn

from pipeline.models.conditioning import null_condition


def predict(
    network: nn.Module, x: Tensor, timesteps: Tensor, condition: Tensor, guidance: float
) -> tuple[Tensor, Tensor | None]:
    """The network's guided prediction, and its raw variance channels if it has any.

    Args:
        network: maps (x N×C×H×W, timesteps N, condition N×K×H×W) to N×C×H×W, or to N×2C×H×W with
            the variance in the last C channels.
        x: noisy images, N×C×H×W.
        timesteps: integer N, of the training process.
        condition: N×K×H×W.
        guidance: s of equation 3.12. At 0 the network runs once over N; otherwise once over 2N.

    Returns:
        Prediction N×C×H×W and variance N×C×H×W or None, float32. The variance is that of the
        conditional pass: guidance is defined for the mean only.
    """
    if guidance == 0:
        prediction, variance = _split(network(x, timesteps, condition), x)
        return prediction, variance
    both = torch.cat([condition, null_condition(condition)])  # 2N×K×H×W
    output = network(torch.cat([x, x]), torch.cat([timesteps, timesteps]), both)
    prediction, variance = _split(output, x)
    conditional, unconditional = prediction.chunk(2)  # N×C×H×W each
    guided = (1 + guidance) * conditional - guidance * unconditional
    return guided, None if variance is None else variance.chunk(2)[0]


def _split(output: Tensor, x: Tensor) -> tuple[Tensor, Tensor | None]:
    channels = x.shape[1]
    if output.shape[1] not in (channels, 2 * channels):
        raise ValueError(
            f"network output: got {output.shape[1]} channels, expected {channels}, or "
            f"{2 * channels} with a learned variance"
        )
    output = output.float()
    learned = output.shape[1] == 2 * channels
    return output[:, :channels], output[:, channels:] if learned else None
