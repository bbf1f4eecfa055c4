"""What the segmenters left behind, for exactly the runs that params.yaml names.

A mix that was removed from the parameters leaves its folder on the disk, so nothing here looks
for folders: architectures × mixes come from the parameters.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.io.errors import UserError
from pipeline.io.outs import written_by
from pipeline.io.params import value

SEGMENTERS = Path("data/models/segmenters")
RUN = ["architecture", "mix"]
COUNT_COLUMNS = [*RUN, "seed", "id", "group", "class_index", "class", "tp", "fp", "fn", "tn"]


def planned_runs(params: dict[str, Any]) -> list[tuple[str, str]]:
    """Every (architecture, mix), in the parameters' order."""
    architectures = value("segmenters.architectures", params)
    return [(a, mix) for a in architectures for mix in value("segmenters.mixes", params)]


def baselines(params: dict[str, Any]) -> dict[str, str]:
    """The mix that each mix is compared with: its own `baseline`, else `segmenters.baseline`.

    Raises:
        UserError: a baseline that is no mix.
    """
    mixes = value("segmenters.mixes", params)
    common = value("segmenters.baseline", params)
    chosen = {}
    for mix, entry in mixes.items():
        own = entry.get("baseline")
        chosen[mix] = own or common
        if chosen[mix] not in mixes:
            where = f"segmenters.mixes.{mix}.baseline" if own else "segmenters.baseline"
            raise UserError(f"{where}: got {chosen[mix]!r}, expected one of {', '.join(mixes)}")
    return chosen


def read_counts(params: dict[str, Any], root: Path = SEGMENTERS) -> pd.DataFrame:
    """The pixel counts of all planned runs: one row per run, seed, test photo and class.

    Raises:
        UserError: a run is missing, or its file is damaged or lacks a column.
    """
    return _concatenated(params, root, "counts.parquet", pd.read_parquet, COUNT_COLUMNS)


def read_curves(params: dict[str, Any], root: Path = SEGMENTERS) -> pd.DataFrame:
    """The training curves of all planned runs: architecture, mix, seed, step, val_defect_iou, …"""
    return _concatenated(params, root, "curve.csv", pd.read_csv, ["seed", "step"])


def _concatenated(
    params: dict[str, Any],
    root: Path,
    name: str,
    read: Callable[[Path], pd.DataFrame],
    columns: list[str],
) -> pd.DataFrame:
    frames = []
    for architecture, mix in planned_runs(params):
        path = root / f"{architecture}-{mix}" / name
        with written_by(f"train-segmenters@{architecture}-{mix}", path):
            frame = read(path).assign(architecture=architecture, mix=mix)
        missing = [column for column in columns if column not in frame]
        if missing:
            raise UserError(f"{path}: lacks {', '.join(missing)}; got {', '.join(frame)}")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
