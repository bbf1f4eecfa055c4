"""What some diffusion trainings have beside a denoiser and its loss."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipeline.diffusion.adversary import Adversary


@dataclass(frozen=True)
class Extras:
    """All of them may be missing."""

    # a picture (uint8 H×W×3) of what the network draws with the weights that it has at the call
    draw_grid: Callable[[], np.ndarray] | None = None
    # divergence of the colours of what it then draws from those of the training photos
    colour_divergence: Callable[[], float] | None = None
    channel_weights: Tensor | None = None  # of the loss, float C
    adversary: Adversary | None = None


NO_EXTRAS = Extras()
