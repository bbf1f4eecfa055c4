"""The precision `auto`: bf16 where the processor computes in it, fp32 where it only imitates it.

A processor without bf16 instructions (before AVX512-BF16 or AMX on x86, before ARMv8.6) takes nine
times as long for a convolution in bf16 as in fp32, a hundred times for a matrix product and eight
times for a training step of the demo: `benchmarks/speed/precision.py`. So the choice is made once,
where the parameters are read; what is saved with the weights and what names a sample in the store
is the precision that was used.
"""

import platform
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator


def resolve(precision: str) -> str:
    """`precision` itself, or for `auto` what this machine is fastest in."""
    if precision != "auto":
        return precision
    return "bf16" if computes_in_bf16() else "fp32"


def computes_in_bf16() -> bool:
    """Whether the GPU, or else the processor, has instructions for bf16."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_capability()[0] >= 8  # Ampere and newer
    if platform.machine().lower() in ("arm64", "aarch64"):
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


Precision = Annotated[Literal["auto", "fp32", "bf16"], AfterValidator(resolve)]
PrecisionWithFp16 = Annotated[Literal["auto", "fp32", "bf16", "fp16"], AfterValidator(resolve)]
