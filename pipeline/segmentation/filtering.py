"""Which synthetic pairs are kept: the settings, and the filter that is off.

Needs neither pandas nor PyTorch, whose imports would take longer than a filter that is off may:
the table is made of Arrow's own arrays (those made from Python's or NumPy's import pandas).
"""

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, ValidationInfo, field_validator

from pipeline.io.errors import UserError
from pipeline.io.params import Settings

SCORES = ("miou", "defect_iou", "cross_entropy")
FIGURES = (*SCORES, "defect_share")  # of a pair, in scores.parquet


class FilterSettings(Settings):
    """What pairs are ranked by, and which of them to keep."""

    # none = no U-Net is trained and nothing ranked
    score: Literal["miou", "defect_iou", "cross_entropy", "none"]
    # "all" that reach the floor, so many pairs, or this share (below 1) of all pairs
    keep: int | float | str = "all"
    order: Literal["best", "worst"] = "best"  # which end of the ranking is kept
    # U-Nets, each trained without the photos whose masks it judges; None = one, trained on all
    folds: int | None = Field(default=None, ge=2)
    # the floor: a mask's share of pixels of all defect classes; pairs below are never kept
    minimal_defect_share: float = Field(default=0.0, ge=0, lt=1)
    # of the U-Net: checked by NetworkSettings and TrainingSettings once one is to be trained, as
    # their modules import torch
    network: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)

    @field_validator("keep")
    @classmethod
    def _keep_is_known(cls, keep: int | float | str, info: ValidationInfo) -> int | float | str:
        is_share = isinstance(keep, float) and 0 < keep < 1
        is_number = isinstance(keep, int) and not isinstance(keep, bool) and keep >= 1
        if not (keep == "all" or is_share or is_number):
            raise ValueError("all, a number from 1 or a share between 0 and 1")
        if keep != "all" and info.data.get("score") == "none":
            raise ValueError("all, as filter.score none ranks no pairs")
        return keep

    @property
    def is_off(self) -> bool:
        """Whether all pairs are kept unseen."""
        return self.score == "none" and self.minimal_defect_share == 0


def keep_all(manifest: Path) -> pa.Table:
    """The table of scores.parquet for a filter that is off, in the order of the ids.

    Args:
        manifest: of the synthetic pairs.

    Raises:
        UserError: it is missing, is no Parquet file or lacks the ids.
    """
    try:
        table = pq.ParquetFile(manifest).read(columns=["id"]).sort_by("id")
    except FileNotFoundError:
        raise UserError(
            f"{manifest}: not found; run the stage that makes {manifest.parent}"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{manifest}: cannot be read as a manifest: {error}") from None
    ids = table["id"]
    for name in FIGURES:
        table = table.append_column(name, pa.nulls(len(ids), pa.float64()))
    table = table.append_column("fold", pa.nulls(len(ids), pa.int64()))
    table = table.append_column("rank", pc.rank(ids).cast(pa.int64()))
    return table.append_column("kept", pc.is_valid(ids))
