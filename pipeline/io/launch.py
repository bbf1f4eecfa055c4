"""Starting a diffusion stage on all visible GPUs.

With one GPU or none the stage simply runs: the launcher would cost a second import of PyTorch. It
is started by `main` here, as its own traceback would bury the line that a stage ends with.
"""

import os
import sys

from pipeline.io.errors import stop_imports


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
    launcher = [sys.executable, "-m", "pipeline.io.launch", "-m", module]
    os.execv(sys.executable, [*launcher, *sys.argv[1:]])


def main() -> None:
    """Run `accelerate launch`; ends as the process that ended first, or by its own stop signal.

    The processes have told why on their own.
    """
    stop_imports()
    from accelerate.commands import launch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        launch.main()
    except SignalException as error:
        sys.exit(128 + error.sigval)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        sys.exit(code if code >= 0 else 128 - code)  # negative: a signal ended it


if __name__ == "__main__":
    main()
