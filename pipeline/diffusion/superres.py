"""Super-resolution of pairs: a diffusion model that draws a pair at twice the size of another.

SynthSet, section 3: photo and mask together, for the small pair as a condition. The paper trains
on clean small pairs, though at sampling time it meets drawn ones; here noise of a random deviation
is added to the condition in training and its deviation told to the network (Ho et al. 2021,
cascaded diffusion), so that the network does not rely on details that drawn pairs get wrong.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pipeline.diffusion.model_folder import ModelCard, load_network, read_card
from pipeline.diffusion.painting import Drawn
from pipeline.diffusion.pair_examples import PairLayout
from pipeline.diffusion.pair_kind import PairDiffusionSettings, pair_layout
from pipeline.diffusion.sampling import Checkpoint, SamplerSettings, Space, draw
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.diffusion.training_settings import COLOUR_DIVERGENCE
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo
from pipeline.models.superres_unet import (
    SuperresNetworkSettings,
    SuperresUNet,
    build_superres_unet,
)

FACTOR = 2
KIND = "superres"


class SuperresSettings(PairDiffusionSettings):
    """Section `superres`."""

    network: SuperresNetworkSettings
    # deviation of the noise on small pairs, uniform from 0 to this
    condition_noise: float = Field(0.3, ge=0)

    @model_validator(mode="after")
    def _is_compared_by_loss(self) -> "SuperresSettings":
        if COLOUR_DIVERGENCE in self.training.monitors:
            raise ValueError(
                "training.monitor and candidates without colour_divergence: the small pairs "
                "decide the colours"
            )
        return self


@dataclass(frozen=True)
class SuperresPainter:
    """Draws pairs at twice the size with the weights that its network has at the call."""

    network: nn.Module
    diffusion: DiffusionSettings
    layout: PairLayout

    def paint(
        self,
        small: Tensor,
        generators: list[torch.Generator],
        settings: SamplerSettings,
        condition_noise: float,
    ) -> Drawn:
        """Photos and label maps of twice the size.

        Args:
            small: photos and codes, float32 N×(3+k)×h×w in [−1, 1].
            generators: the i-th provides all noise of the i-th pair.
            settings: how to draw.
            condition_noise: deviation of the noise added to `small`.
        """
        levels = torch.full((len(small),), condition_noise)
        conditions = noisy_condition(small, levels, generators)
        height, width = small.shape[2:]
        space = Space(self.layout.channels, FACTOR * height, FACTOR * width, limit=1.0)
        x = draw(self.network, self.diffusion, conditions, generators, settings, space)
        return Drawn(*self.layout.decode(x))


def noisy_condition(small: Tensor, levels: Tensor, generators: list[torch.Generator]) -> Tensor:
    """What the network is shown of small pairs: with noise, and a channel that tells how much.

    Args:
        small: float32 N×(3+k)×h×w in [−1, 1], on the CPU.
        levels: deviation of the noise of each, float N.
        generators: N CPU generators.

    Returns:
        float32 N×(3+k+1)×h×w.
    """
    noise = torch.stack([torch.randn(small.shape[1:], generator=g) for g in generators])
    levels = levels.view(-1, 1, 1, 1).float()
    told = levels.expand(-1, 1, *small.shape[2:])
    return torch.cat([small + levels * noise, told], dim=1)


def new_network(
    settings: SuperresSettings, layout: PairLayout, size: tuple[int, int]
) -> SuperresUNet:
    """A new network that draws pairs of height × width `size`, with torch's random state."""
    groups = settings.diffusion.output_groups
    return build_superres_unet(settings.network, layout.channels, layout.channels + 1, size, groups)


def load_superres(
    folder: Path,
    checkpoint: Checkpoint,
    classes: list[ClassInfo],
    with_object: bool,
    size: tuple[int, int],
) -> tuple[SuperresPainter, ModelCard]:
    """What enlarges pairs (CPU, evaluation mode), and its card.

    Args:
        folder: the model's.
        checkpoint: weights of which moment.
        classes: of the pairs to enlarge.
        with_object: whether they have silhouettes.
        size: height and width that they shall get.

    Raises:
        UserError: the folder holds no such model, or one for other pairs.
    """
    remedy = "set sampling.superres.enabled to true and run train-superres"
    card = read_card(folder, {KIND: SuperresSettings}, remedy)
    got = (card.classes, card.with_object, (card.height, card.width))
    if got != (classes, with_object, size):
        raise UserError(
            f"{folder}: was trained on pairs of other classes, silhouettes or size than those to "
            f"enlarge (it draws {card.height}×{card.width}, silhouettes: {card.with_object}); run "
            "train-superres again"
        )
    layout = pair_layout(card.settings.code, len(classes), with_object)
    network = load_network(SuperresUNet, folder, checkpoint)
    return SuperresPainter(network, card.settings.diffusion, layout), card


def nearest_twice(labels: np.ndarray) -> np.ndarray:
    """Masks or label maps …×h×w at twice the size by nearest neighbour."""
    return labels.repeat(FACTOR, axis=-2).repeat(FACTOR, axis=-1)
