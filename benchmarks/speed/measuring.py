"""Timing contenders in turn, so that whatever else the machine does falls on all of them alike."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.mask_codecs import as_markdown
from pipeline.io.atomic import write_text
from pipeline.io.cores import total_cores

PACKAGES = ("torch", "diffusers", "monai", "denoising-diffusion-pytorch", "pillow", "numpy")


@dataclass(frozen=True)
class Contender:
    """Something to time.

    Attributes:
        name: of the table's row.
        work: does its work once.
        amount: how many things (photos, samples) that is.
        remark: what is particular to it.
    """

    name: str
    work: Callable[[], object]
    amount: float
    remark: str = ""


def time_in_turn(contenders: Sequence[Contender], repeats: int, warm_ups: int = 1) -> np.ndarray:
    """Seconds of wall clock, repeats × contenders; each round does all, in turning order."""
    for contender in contenders:
        for _ in range(warm_ups):
            contender.work()
    seconds = np.empty((repeats, len(contenders)))
    for repeat in range(repeats):
        order = np.roll(np.arange(len(contenders)), -repeat)
        for place in order:
            _wait_for_device()
            began = time.perf_counter()
            contenders[place].work()
            _wait_for_device()
            seconds[repeat, place] = time.perf_counter() - began
        print(f"round {repeat + 1} of {repeats}", flush=True)
    return seconds


def processor_s(work: Callable[[], object]) -> float:
    """Processor seconds of some work, with those of the processes that it starts and ends."""
    before = os.times()
    work()
    return sum(os.times()[:4]) - sum(before[:4])  # user and system, own and children's


def summarise(
    contenders: Sequence[Contender], seconds: np.ndarray, unit: str, own: int = 0
) -> pd.DataFrame:
    """A row a contender: its rate, and how many times as fast the `own` one is.

    Ratios are taken round by round; the table has their median, lowest and highest.
    """
    rates = np.array([c.amount for c in contenders]) / seconds  # rounds × contenders
    ratios = rates[:, [own]] / rates
    rows = [
        {
            "contender": contender.name,
            f"{unit}/s": float(np.median(rates[:, place])),
            "ratio": float(np.median(ratios[:, place])),
            "lowest": float(ratios[:, place].min()),
            "highest": float(ratios[:, place].max()),
            "remark": contender.remark,
        }
        for place, contender in enumerate(contenders)
    ]
    return pd.DataFrame(rows)


def machine() -> str:
    """Processor or GPU, cores and versions: what a figure of speed is worth nothing without."""
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    on = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return (
        f"{on}, {total_cores()} cores, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def write_table(out: Path | None, name: str, table: pd.DataFrame, notes: str) -> None:
    """Print the table, and write it below `out` as CSV and as a page with machine and notes."""
    text = f"{as_markdown(table)}\n\n{notes}\n\n{machine()}\n"
    print(f"\n{text}")
    if out is not None:
        write_text(out / f"{name}.csv", table.to_csv(index=False))
        write_text(out / f"{name}.md", text)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
