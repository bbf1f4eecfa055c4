"""`python -m benchmarks.chaos --kills 50 --seed 0`: is nothing lost, and does nothing lie?

In temporary copies of the repository with all stages in use: an unbroken run; a run in which every
stage is killed at random moments, each that can resume at least twice; some kills of `dvc repro`
itself; with `--disk` a disk that is too small for what a stage writes. In the end all outs must
have the bytes of the unbroken run.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.chaos import dvc_kills, kills, pages, small_disk
from benchmarks.chaos.workplace import ROOT, make_workplace, read_steps
from pipeline.io.errors import UserError, run

OUT = ROOT / "docs" / "results"


def main() -> None:
    """Command line: how many kills, from which seed, or the small disk."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of stages, one each at least")
    parser.add_argument("--dvc-kills", type=int, default=4, help="of `dvc repro` itself")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--disk", action="store_true", help="a full disk instead of kills")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        first = make_workplace(Path(scratch, "unbroken").resolve())
        second = make_workplace(Path(scratch, "killed").resolve())  # now: sources may be edited
        steps = read_steps(first.folder)
        if not arguments.kills - len(steps) >= 0:
            raise UserError(f"--kills: got {arguments.kills}, expected {len(steps)} (one a stage)")
        unbroken = kills.run_unbroken(first, steps)
        expected = first.hashes(steps)
        if arguments.disk:
            cases = small_disk.run_full(first, steps, Path(scratch), arguments.seed)
            pages.write_disk(arguments.out, cases, time.monotonic() - start)
            return
        stories = kills.run_killed(second, steps, unbroken, arguments.kills, arguments.seed)
        outcome = _compare(expected, second.hashes(steps)), second.leftovers()
        shutil.rmtree(first.folder)
        by_dvc = dvc_kills.run_killed(second, steps, arguments.dvc_kills, arguments.seed)
        later = _compare(expected, second.hashes(steps)), second.leftovers()
        seconds = time.monotonic() - start
    different = sorted({*outcome[0], *later[0]})
    pages.write_kills(arguments.out, stories, unbroken, by_dvc, len(expected), different, seconds)
    for title, (different, left) in (("stages", outcome), ("dvc repro", later)):
        print(f"{title}: {len(expected)} files, {len(different)} differ, {len(left)} left over")
    wrong = [*outcome[0], *outcome[1], *later[0], *later[1]]
    if wrong:
        raise UserError("not as after an unbroken run: " + ", ".join(wrong[:20]))


def _compare(expected: dict[str, str], got: dict[str, str]) -> list[str]:
    names = expected.keys() | got.keys()
    return sorted(name for name in names if expected.get(name) != got.get(name))


if __name__ == "__main__":
    run(main)
