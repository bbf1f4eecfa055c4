"""Starting a diffusion stage on all visible GPUs.

With one GPU or none the stage simply runs: the launcher would cost a second import of PyTorch,
and would bury a one-line error message under its own traceback.
"""

import os
import sys


def use_all_gpus(module: str) -> None:
    """Start the running stage again under `accelerate launch` if several GPUs are visible.

    Does not return in that case. A process that the launcher started stays as it is.

    Args:
        module: the stage's module, e.g. `stages.sample`.
    """
    if "LOCAL_RANK" in os.environ:
        return
    import torch

    if torch.cuda.device_count() < 2:
        return
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "-m", module]
    os.execv(sys.executable, [*launcher, *sys.argv[1:]])
