"""Reconstruction against a patch discriminator, as VQGAN has it (Esser et al. 2021).

Hinge losses (Lim & Ye 2017); the generator's term is scaled so that its gradient at the decoder's
last layer is as strong as that of the reconstruction (eq. 7 of Esser et al.).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.autoencoding.examples import memory_format
from pipeline.autoencoding.settings import AdversarialSettings
from pipeline.models.patch_discriminator import PatchDiscriminator

STABILISER = 1e-6  # δ of eq. 7
LARGEST_WEIGHT = 1e4
BETAS = (0.5, 0.9)  # of Adam, in the published training


class Adversary:
    """The discriminator and its optimiser."""

    def __init__(self, channels: int, settings: AdversarialSettings, device: torch.device) -> None:
        """A new discriminator with torch's current random state."""
        self.settings = settings
        network = PatchDiscriminator(channels, settings.width, settings.layers)
        self.network = network.to(device, memory_format=memory_format(device))
        self.parameters = dict(self.network.named_parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(), betas=BETAS, weight_decay=0.0, fused=True
        )

    def is_active(self, step: int) -> bool:
        """Whether the autoencoder is trained against it in `step`."""
        return step >= self.settings.start_step

    def generator_term(self, fidelity: Tensor, fake: Tensor, last_layer: nn.Parameter) -> Tensor:
        """The weighted term of the autoencoder's loss; gives the discriminator no gradients.

        Args:
            fidelity: scalar, what the autoencoder minimises besides.
            fake: reconstructions float N×k×H×W, with their graph.
            last_layer: weights of the decoder's last layer.
        """
        self.network.requires_grad_(False)
        term = -self.network(fake).float().mean()
        return self.settings.weight * adaptive_weight(fidelity, term, last_layer) * term

    def learn(self, real: Tensor, fake: Tensor, learning_rate: float) -> Tensor:
        """One step of the discriminator; returns its loss. `fake` gets no gradients."""
        self.network.requires_grad_(True)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        with torch.autocast(real.device.type, enabled=False):
            loss = discriminator_loss(self.network(real), self.network(fake.detach()))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()


def adaptive_weight(fidelity: Tensor, adversarial: Tensor, last_layer: nn.Parameter) -> Tensor:
    """Esser et al. 2021, eq. 7: ‖∇ fidelity‖ / (‖∇ adversarial‖ + δ) at the last layer, detached.

    Both scalars keep their graphs.
    """
    (of_fidelity,) = torch.autograd.grad(fidelity, last_layer, retain_graph=True)
    (of_adversarial,) = torch.autograd.grad(adversarial, last_layer, retain_graph=True)
    weight = of_fidelity.norm() / (of_adversarial.norm() + STABILISER)
    return weight.clamp(max=LARGEST_WEIGHT).detach()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of patch scores of real photos and of reconstructions, a scalar."""
    return 0.5 * (functional.relu(1 - real).mean() + functional.relu(1 + fake).mean())
