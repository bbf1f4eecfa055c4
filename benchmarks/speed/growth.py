"""`python -m benchmarks.speed.growth`: seconds and memory for 1, 2, 4 and 8 times the photos.

Each part of the pipeline that handles every photo or pair once is run at each size in a process of
its own, those that a set's layout concerns with either: what is linear takes the same time a thing
at every size. Networks are left out; they see one batch after the other. DVC is measured by
`dvc add` in a repository of its own.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.optimize import curve_fit

from benchmarks.speed.growth_parts import (
    PAIR_PX,
    PAIRS_A_SHARD,
    PARTS,
    PHOTO_PX,
    Part,
    write_photos,
)
from pipeline.io.errors import run

MILLION = 1_000_000
PRELOADED = ["benchmarks.speed.growth_parts", "matplotlib.figure", "scipy.optimize"]


def main() -> None:
    """Command line: the smallest size, the factors, where to write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smallest", type=int, default=250, help="photos, and pairs")
    parser.add_argument("--factors", type=int, nargs="+", default=(1, 2, 4, 8))
    parser.add_argument("--out", type=Path, help="folder for CSV, page and figure")
    arguments = parser.parse_args()
    rows = []
    for factor in arguments.factors:
        total = factor * arguments.smallest
        with tempfile.TemporaryDirectory() as folder:
            _in_process(write_photos, total, Path(folder))
            for name, part in PARTS.items():
                rows.append({"part": name, "number": total, **_measure(part, total, Path(folder))})
                print(rows[-1], flush=True)
    # not above: the processes that measure import this module, and need no PyTorch
    from benchmarks.speed.measuring import write_table

    table = pd.DataFrame(rows).sort_values(["part", "number"], kind="stable")
    notes = (
        f"Photos of {PHOTO_PX} px to pairs of {PAIR_PX} px, {PAIRS_A_SHARD} pairs in a shard. Each "
        "figure from a process of its own; peak: of its resident memory, the libraries' included; "
        "files: of what the part wrote."
    )
    write_table(arguments.out, "growth", table, notes)
    fits = pd.DataFrame([_fit(name, rows) for name, rows in table.groupby("part", sort=False)])
    notes = (
        "Processor seconds fitted as constant + slope × number ^ exponent. The figures for a "
        "million are straight lines through the sizes measured, on one core, and not tried."
    )
    write_table(arguments.out, "growth-fits", fits, notes)
    if arguments.out is not None:
        _figure(table).savefig(arguments.out / "growth.png", dpi=100)


def _measure(part: Part, total: int, folder: Path) -> dict[str, float]:
    """A row of the table."""
    wall, processor, peak, filled = _in_process(part, total, folder)
    files = [] if filled is None else [path for path in filled.rglob("*") if path.is_file()]
    return {
        "seconds": wall,
        "ms each": 1000 * wall / total,
        "processor ms each": 1000 * processor / total,
        "peak MB": peak / 1e6,
        "files": len(files),
        "MB": sum(path.stat().st_size for path in files) / 1e6,
    }


def _fit(name: str, rows: pd.DataFrame) -> dict[str, float | str]:
    """How a part grows, and straight lines on to a million; seconds are the processor's."""
    number = rows["number"].to_numpy(float)
    seconds = rows["processor ms each"].to_numpy() * number / 1000

    def power(number: np.ndarray, constant: float, slope: float, exponent: float) -> np.ndarray:
        return constant + slope * (number / MILLION) ** exponent

    start = (0, seconds[-1] * MILLION / number[-1], 1)
    (_, _, exponent), _ = curve_fit(power, number, seconds, start, seconds, bounds=(0, np.inf))
    each, constant = np.polyfit(number, seconds, 1)
    memory = np.polyval(np.polyfit(number, rows["peak MB"], 1), MILLION)
    files = np.polyval(np.polyfit(number, rows["files"], 1), MILLION)
    return {
        "part": name,
        "exponent": exponent,
        "constant s": constant,
        "ms each": 1000 * each,
        "hours a million": each * MILLION / 3600,
        "peak GB a million": memory / 1000,
        "files a million": float(np.round(files, -3)),
    }


def _in_process(part: Part, total: int, folder: Path) -> tuple[float, float, int, Path | None]:
    """Seconds, processor seconds, peak bytes and result of a part in a new process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measured, part, total, folder).result()


def _measured(part: Part, total: int, folder: Path) -> tuple[float, float, int, Path | None]:
    # as in a stage; else the processes of a part would first import all that this one did
    multiprocessing.set_start_method("fork", force=True)
    began, before = time.perf_counter(), _usage()
    filled = part(total, folder)
    after = _usage()
    return time.perf_counter() - began, after[0] - before[0], after[1], filled


def _usage() -> tuple[float, int]:
    """Processor seconds so far and peak bytes, the processes included that were started."""
    users = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(user.ru_utime + user.ru_stime for user in users)
    return seconds, 1024 * max(user.ru_maxrss for user in users)


def _figure(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, rows in table.groupby("part", sort=False):
        left.plot(rows["number"], rows["processor ms each"], marker="o", label=name)
        right.plot(rows["number"], rows["peak MB"], marker="o", label=name)
    left.set(xscale="log", ylim=(0, None), xlabel="photos or pairs", ylabel="processor ms each")
    right.set(xscale="log", ylim=(0, None), xlabel="photos or pairs", ylabel="peak memory, MB")
    left.legend()
    return figure


if __name__ == "__main__":
    run(main)
