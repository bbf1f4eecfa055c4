"""How much memory is free, on the computer or on a GPU."""

from typing import Any

import psutil


def free_bytes(device: Any) -> int:
    """Of a `torch.device`: on a GPU what no process holds, else what programs may take."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
