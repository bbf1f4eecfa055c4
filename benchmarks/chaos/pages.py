"""The figures of kills and of the small disk, as tables beside the others in docs/results."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from benchmarks.chaos.attempts import Attempt
from benchmarks.chaos.dvc_kills import DvcKill
from benchmarks.chaos.kills import Kill, Story
from benchmarks.chaos.small_disk import Case
from benchmarks.mask_codecs import as_markdown
from pipeline.io.atomic import write_text

KILLS = "chaos.md"
DISK = "full-disk.md"


def write_kills(
    out: Path,
    stories: list[Story],
    unbroken: dict[str, Attempt],
    by_dvc: list[DvcKill],
    total_files: int,
    different: list[str],
    seconds: float,
) -> None:
    """Write chaos.md and chaos/kills.csv, and print the table."""
    kills = pd.DataFrame([asdict(kill) for story in stories for kill in story.kills])
    by_stage = pd.DataFrame([_of_stage(story, unbroken[story.step.name]) for story in stories])
    fewest, asked = int(by_stage["kills"].min()), kills["signal"] != "SIGKILL"
    soft = kills[asked & kills["in_work"]]
    facts = [
        f"{len(kills)} kills of {len(by_stage)} stages, each of which got {fewest} at least: "
        + ", ".join(f"{count} {name}" for name, count in kills["signal"].value_counts().items()),
        f"{int(kills['in_work'].sum())} fell after the stage had opened its store, "
        f"{int((kills['files_kept'] > 0).sum())} when it held something to go on from",
        f"after {int((kills['torn'] != '').sum())} of them a kept file was torn off at a random "
        "byte, as by a power loss in the middle of a write",
        f"from SIGTERM or SIGINT during the work to the end of the process: median "
        f"{soft['stopping_s'].median():.2f} s, longest {soft['stopping_s'].max():.2f} s",
        f"{int((asked & ~kills['traceback']).sum())} of {int(asked.sum())} that were asked to stop "
        "ended without a traceback",
        f"in the end {total_files - len(different)} of {total_files} files have the bytes of the "
        "unbroken run" + (f"; different: {', '.join(different[:9])}" if different else ""),
        f"{seconds / 60:.0f} minutes in all, on one core",
    ]
    text = "\n".join(
        [
            "# Killed at random moments\n",
            "`make chaos`: every stage of the smoke preset with the latent models, finetuning,",
            "super-resolution, a filter of two folds and an external set, its process group killed",
            "at random moments until the stage is done, against an unbroken run. Each stage gets a",
            "kill, each that can resume two, a SIGKILL and a request (SIGTERM, SIGINT); the others",
            "fall by chance, the likelier the longer the stage works.\n",
            *(f"- {fact}" for fact in facts),
            "\nSeconds lost: of all attempts together beyond those of the unbroken run; most of it",
            "is the start of Python with its imports, which every attempt pays. Work lost: the",
            "same, counted from the opening of the stage's store; none for stages without one.",
            "Longest stop: from a request to the end of the process.\n",
            as_markdown(by_stage),
            "\n`dvc repro` itself killed, and brought to its end by the next one:\n",
            as_markdown(pd.DataFrame([asdict(kill) for kill in by_dvc])),
            "\nEach kill: [kills.csv](chaos/kills.csv).",
        ]
    )
    write_text(out / "chaos" / "kills.csv", kills.to_csv(index=False))
    write_text(out / KILLS, text + "\n")
    print(as_markdown(by_stage))
    print("\n".join(facts))


def _of_stage(story: Story, unbroken: Attempt) -> dict:
    kills: list[Kill] = story.kills
    went_on = sum(kill.files_kept > 0 for kill in kills)
    asked = [kill for kill in kills if kill.signal != "SIGKILL"]
    return {
        "stage": story.step.name,
        "kills": len(kills),
        "SIGKILL": len(kills) - len(asked),
        "went on": went_on,
        "began anew": len(kills) - went_on,
        "torn files": sum(kill.torn != "" for kill in kills),
        "longest stop s": f"{max((kill.stopping_s for kill in asked), default=0):.1f}",
        "unbroken s": f"{unbroken.seconds:.1f}",
        "lost s": f"{story.seconds - story.ends * unbroken.seconds:.1f}",
        "work lost s": _work_lost(story, unbroken),
    }


def _work_lost(story: Story, unbroken: Attempt) -> str:
    if unbroken.work_s is None:
        return ""
    return f"{story.work_s - story.ends * unbroken.work_s:.1f}"


def write_disk(out: Path, cases: list[Case], seconds: float) -> None:
    """Write full-disk.md and chaos/full-disk.csv, and print what failed to fail cleanly."""
    table = pd.DataFrame([asdict(case) for case in cases])
    clean = table["is_clean"] & (table["exit_code"] == 1)
    asked = table[table["full"] == "out"]
    facts = [
        f"{len(table)} runs of {table['stage'].nunique()} stages with too little space: "
        f"{int(clean.sum())} ended with one message, exit code 1, no out and no leftovers",
        f"{int(asked['equal_after'].astype(bool).sum())} of {len(asked)} stages then succeeded, "
        "with the bytes of an unbroken run",
        f"{seconds / 60:.0f} minutes in all, on one core",
    ]
    shown = table.assign(
        **{
            "free MB": (table["free_bytes"] / 1e6).map("{:.2f}".format),
            "out MB": (table["needed_bytes"] / 1e6).map("{:.2f}".format),
            "clean": clean.map({True: "yes", False: "NO"}),
            "succeeds after": table["equal_after"].map({True: "yes", False: "NO"}).fillna(""),
        }
    )[["stage", "full", "free MB", "out MB", "exit_code", "clean", "succeeds after"]]
    example = table.loc[table["stage"] == "train-image-dm", "message"].tolist()
    text = "\n".join(
        [
            "# A disk that is too small\n",
            "`python -m benchmarks.chaos --disk`: a tmpfs of 64 MB holds the stage's store, or its",
            "out, and is filled up to a random part of what the stage writes.\n",
            *(f"- {fact}" for fact in facts),
            "",
            as_markdown(shown),
            "\nWhat train-image-dm says:\n",
            *(f"    {line}" for line in example),
            "\nAll messages: [full-disk.csv](chaos/full-disk.csv).",
        ]
    )
    write_text(out / "chaos" / "full-disk.csv", table.to_csv(index=False))
    write_text(out / DISK, text + "\n")
    print(as_markdown(shown))
    print("\n".join(facts))
