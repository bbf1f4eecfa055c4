"""How many pairs to draw at once, where the parameters say `auto`.

On the CPU more than a few images a pass gain nothing. On a GPU the memory decides: two small
batches are drawn to see what a pair takes, and the largest power of two that fits is chosen. It
counts the GPU's whole memory and not what happens to be free, so that a run that was killed finds
its samples again: a pair's bytes depend on the size of its batch in the last bit, so that size is
part of their key.
"""

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from pipeline.diffusion.drawing import Method

ON_CPU = 16
LARGEST = 256  # beyond, a GPU is busy anyway, and a killed run would lose more
_PROBES = (2, 8)  # pairs
_USABLE_SHARE = 0.8  # of the memory; the rest is for what grows by steps


def choose_batch_size(wanted: int | str, draw: Method) -> int:
    """The number itself, or what suits the device of the main process; the same in all of them.

    Args:
        wanted: of the parameters; a number, or `auto`.
        draw: what the pairs will be drawn by; the GPU draws ten with it, which are thrown away.
    """
    if isinstance(wanted, int):
        return wanted
    accelerator = Accelerator()
    chosen = [None]
    if accelerator.is_main_process:
        on_gpu = accelerator.device.type == "cuda"
        chosen = [_fitting(draw, accelerator.device) if on_gpu else ON_CPU]
        print(f"sampling.batch_size auto: {chosen[0]} on {accelerator.device.type}", flush=True)
    broadcast_object_list(chosen)
    return chosen[0]


def _fitting(draw: Method, device: torch.device) -> int:
    peaks = []
    for total in _PROBES:
        torch.cuda.reset_peak_memory_stats(device)
        draw(range(total))
        peaks.append(torch.cuda.max_memory_allocated(device))
    torch.cuda.empty_cache()
    total_bytes = torch.cuda.get_device_properties(device).total_memory
    return largest_that_fits(_PROBES, (peaks[0], peaks[1]), int(_USABLE_SHARE * total_bytes))


def largest_that_fits(totals: tuple[int, int], peaks: tuple[int, int], limit_bytes: int) -> int:
    """The largest power of two, at most `LARGEST`, whose memory stays below a limit.

    Args:
        totals: two numbers of pairs, the smaller one first.
        peaks: bytes that drawing so many takes; the line through both holds for all numbers.
        limit_bytes: what may be used.
    """
    per_pair = (peaks[1] - peaks[0]) / (totals[1] - totals[0])
    at_all = peaks[0] - totals[0] * per_pair
    size = LARGEST
    while size > 1 and at_all + size * per_pair > limit_bytes:
        size //= 2
    return size
