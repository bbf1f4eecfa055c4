"""How long the stages take to start and to end, with and without what makes that short.

python -m benchmarks.start_up [--repeats 3]

Each stage is started in an empty folder, where it ends by asking for params.yaml: what is left is
the start of Python, the imports and the end of the process. "Plain" is the same without
`pipeline.io.imports` and `pipeline.io.lifetime`. New processes, the two ways in turn; processor
seconds, medians. The floor is `import torch` alone.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

STAGES = ("train_image_dm", "sample", "train_segmenters", "evaluate_samples", "report")
ROOT = Path(__file__).resolve().parents[1]
PLAIN = (
    "import runpy, pipeline.io.imports as i; i.shorten = lambda: None; "
    "runpy.run_module('stages.{stage}', run_name='__main__')"
)


def processor_s(*arguments: str) -> float:
    """Processor time of a new Python process in an empty folder, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
            check=False,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table row a stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args(arguments).repeats
    floor = statistics.median(processor_s("-c", "import torch") for _ in range(repeats))
    print(f"import torch, and end: {floor:.1f} s\n")
    print("| stage | plain s | shortened s | ratio |\n|---|---|---|---|")
    for stage in STAGES:
        pairs = [
            (
                processor_s("-c", PLAIN.format(stage=stage)),
                processor_s("-m", f"stages.{stage}", "fpn", "none"),
            )
            for _ in range(repeats)
        ]
        plain, short = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(before / after for before, after in pairs)
        print(f"| {stage} | {plain:.1f} | {short:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
