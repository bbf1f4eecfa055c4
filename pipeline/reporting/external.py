"""The segmenters in another domain, in the form of table 1 of the SynthSet paper (Heschl et al.).

The paper gives Dice and IoU of each photo, averaged over the photos; a photo that shows nothing,
and of which nothing is predicted, counts as 1 there. Beside it stand the pixels of all photos
pooled, to which such photos add nothing.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.io.manifests import read_manifest
from pipeline.io.outs import written_by
from pipeline.reporting import tables

EXTERNAL, FINETUNED = Path("data/external"), Path("data/models/segmenters_finetuned")
STAGES = {"before": "as trained", "after": "finetuned"}
SUFFIXES = {"before": "", "after": "_finetuned"}  # of the names of figures
ALONE = "external_alone"  # in place of a mix: trained on the few external pairs alone
ALONE_TITLE = "none: these pairs alone"
ALL, FIGURES = "all but background", ["dice", "iou"]
REDUCTIONS = {
    "macro-imagewise": "Mean over the photos",
    "macro": "Pixels of all photos pooled",
}
OF_A_CLASS = ["pooled", "imagewise"]
COLUMNS = ["architecture", "mix", "seed", "stage", "class", "reduction", *FIGURES]


@dataclass(frozen=True)
class ExternalResults:
    """What finetune-segmenters found.

    counts: pixels of each run, seed, stage, external test photo and class.
    scores: the result of `score_table` by run, seed and stage.
    sums: each figure of each run as sums over the external test groups.
    gained: every mix against its baseline, in the columns of metrics/differences.csv.
    run: the content of run.json.
    """

    counts: pd.DataFrame
    scores: pd.DataFrame
    sums: pd.DataFrame
    gained: pd.DataFrame
    run: dict[str, Any]


def read_external(root: Path = FINETUNED) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The pixel counts and run.json.

    Raises:
        UserError: they are missing or damaged.
    """
    counts, run = root / "counts.parquet", root / "run.json"
    stage = "finetune-segmenters"
    with written_by(stage, counts):
        frame = pd.read_parquet(counts)
    with written_by(stage, run):
        return frame, json.loads(run.read_text(encoding="utf-8"))


def count_copies(external: pd.DataFrame, prepared: pd.DataFrame) -> int:
    """How many external test photos are, pixel for pixel, photos of the prepared set.

    Args:
        external: manifest of the external set.
        prepared: manifest of the prepared set.
    """
    tested = external.loc[external["split"] == "test", "image_sha256"]
    return int(tested.isin(set(prepared["image_sha256"])).sum())


def csv_table(results: ExternalResults | None) -> pd.DataFrame:
    """metrics/external.csv, with the columns `COLUMNS`; without rows if there is no external set.

    The class is a name with the reduction `imagewise` (mean over photos) or `pooled`, or
    `all but background` with `macro-imagewise` or `macro`, the same averaged over the classes.
    """
    if results is None:
        return pd.DataFrame(columns=COLUMNS)
    scores = results.scores
    wanted = scores["class"].eq(ALL) & scores["reduction"].isin(list(REDUCTIONS))
    wanted |= scores["reduction"].isin(OF_A_CLASS)
    return scores.loc[wanted, COLUMNS].round(tables.DECIMALS)


def section(
    folder: Path, params: dict[str, Any], prepared: Path, results: ExternalResults | None
) -> dict[str, Any] | None:
    """What page.html shows, None without an external set; copies the examples into `folder`."""
    if results is None:
        return None
    shown = results.scores[results.scores["class"].eq(ALL)]
    stages = {name: title for name, title in STAGES.items() if name in set(shown["stage"])}
    pairs = results.run["pairs"]
    return {
        "path": params["external"]["dataset"]["path"],
        "photos": results.counts["id"].nunique(),
        "copies": count_copies(read_manifest(EXTERNAL), read_manifest(prepared)),
        "groups": results.counts["group"].nunique(),
        "finetuned_on": len(pairs["train"]) if pairs else 0,
        "chosen_by": len(pairs["val"]) if pairs else 0,
        "stages": stages,
        "tables": [
            {"title": title, "rows": _rows(shown[shown["reduction"] == reduction])}
            for reduction, title in REDUCTIONS.items()
        ],
        "verdicts": _verdicts(results.gained),
        "examples": _copy_examples(folder, shown),
    }


def _rows(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each architecture and mix: its names, seeds, and the means of each stage."""
    means = tables.seed_means(scores, ["architecture", "mix", "stage"], FIGURES)
    rows = []
    for (architecture, mix), of_run in means.groupby(["architecture", "mix"], sort=False):
        row = {
            "architecture": architecture,
            "mix": _title(mix),
            "seeds": int(of_run["seeds"].max()),
        }
        rows.append(row | of_run.set_index("stage").to_dict("index"))
    return rows


def _verdicts(gained: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each stage, architecture and mix: the difference in Dice, and the verdict."""
    return [
        row | {"stage": title, "mix": _title(row["mix"]), "baseline": _title(row["baseline"])}
        for stage, title in STAGES.items()
        for row in gained[gained["figure"] == f"external_dice{SUFFIXES[stage]}"].to_dict("records")
    ]


def _title(mix: str) -> str:
    return ALONE_TITLE if mix == ALONE else mix


def _copy_examples(folder: Path, scores: pd.DataFrame) -> list[dict[str, str]]:
    examples = []
    for architecture, mix in scores[["architecture", "mix"]].drop_duplicates().to_numpy():
        source = FINETUNED / f"{architecture}-{mix}" / "examples.png"
        if source.exists():
            (folder / "images").mkdir(exist_ok=True)
            name = f"images/external_{architecture}-{mix}.png"
            shutil.copyfile(source, folder / name)
            examples.append({"title": f"{architecture}, {_title(mix)}", "picture": name})
    return examples
