"""How long the stages take to start: their imports, with and without `pipeline.io.imports`.

python -m benchmarks.start_up [--repeats 3]

Each stage is imported in new processes, the two ways in turn; processor seconds, medians. The
floor is `import torch` alone.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence

STAGES = ("train_image_dm", "sample", "train_segmenters", "evaluate_samples", "report")
PLAIN = "import pipeline.io.imports as i; i.shorten = lambda: None; "


def processor_s(code: str) -> float:
    """Processor time of a new Python process that runs `code`, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table row a stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args(arguments).repeats
    floor = statistics.median(processor_s("import torch") for _ in range(repeats))
    print(f"import torch: {floor:.1f} s\n")
    print("| stage | plain s | shortened s | ratio |\n|---|---|---|---|")
    for stage in STAGES:
        pairs = [
            (processor_s(f"{PLAIN}import stages.{stage}"), processor_s(f"import stages.{stage}"))
            for _ in range(repeats)
        ]
        plain, short = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(before / after for before, after in pairs)
        print(f"| {stage} | {plain:.1f} | {short:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
