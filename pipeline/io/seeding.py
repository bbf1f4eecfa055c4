"""All randomness comes from one seed and a name or an index, never from global state.

So sample *i* or training step *s* has its own generator: results do not depend on batch size,
on how many are drawn, on the number of processes or on where a killed run was resumed.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the purpose that `names` spell out, e.g. `derive_seed(0, "sample", 12)`."""
    text = "/".join(f"{type(name).__name__}:{name}" for name in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_rng(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator of its own for the purpose that `names` spell out."""
    return np.random.default_rng(derive_seed(seed, *names))


def torch_generator(seed: int, *names: str | int) -> "torch.Generator":
    """A CPU generator (also for GPU work: the same noise on every device) for `names`."""
    import torch

    return torch.Generator("cpu").manual_seed(derive_seed(seed, *names))
