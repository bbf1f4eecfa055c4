"""Scores and ranks of synthetic pairs by a U-Net trained on real ones (the thesis's chapter 6.1).

The U-Net's prediction on a synthetic photo is compared with the mask the photo was drawn for: a
high IoU or a low cross-entropy says that the defect is where the mask has it. It also says that
the defect is easy, so the best pairs are the easiest ones; `order: worst` keeps the others.

Needs pandas alone; the scores come from `pipeline.segmentation.pair_scores`.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from pipeline.io.errors import UserError
from pipeline.io.params import Settings

SCORES = ("miou", "cross_entropy")


class FilterSettings(Settings):
    """Which synthetic pairs to keep."""

    score: Literal["miou", "cross_entropy", "none"]  # none = no U-Net is trained, all are kept
    keep: int | str = "all"  # "all", or so many pairs
    order: Literal["best", "worst"] = "best"  # which end of the ranking is kept
    # of the U-Net: checked by NetworkSettings and TrainingSettings once one is to be trained, as
    # their modules import torch
    network: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)

    @field_validator("keep")
    @classmethod
    def _keep_is_known(cls, keep: int | str, info: ValidationInfo) -> int | str:
        if isinstance(keep, bool) or (keep != "all" if isinstance(keep, str) else keep < 1):
            raise ValueError("all or a number from 1")
        if keep != "all" and info.data.get("score") == "none":
            raise ValueError("all, as filter.score none ranks no pairs")
        return keep


def rank_pairs(scores: pd.DataFrame, settings: FilterSettings) -> pd.DataFrame:
    """The table of scores.parquet, ordered by id.

    Args:
        scores: `id`, `miou` (higher is better), `cross_entropy` (lower is better); both NaN with
            `score: none`.
        settings: what to rank by and how many to keep.

    Returns:
        The same with `rank` (1 = first to be kept; equal scores in the order of their ids) and
        `kept`.

    Raises:
        UserError: more pairs to keep than there are.
    """
    total = len(scores)
    if settings.keep != "all" and settings.keep > total:
        raise UserError(
            f"filter.keep: asks for {settings.keep}, expected at most {total} synthetic pairs; "
            "raise sampling.count or keep fewer"
        )
    ordered = scores.sort_values("id", ignore_index=True)
    if settings.score == "none":
        key = np.zeros(total)
    else:
        key = ordered[settings.score].to_numpy(copy=True)
        lower_is_first = (settings.score == "cross_entropy") == (settings.order == "best")
        key = key if lower_is_first else -key
    rank = np.empty(total, dtype=np.int64)
    rank[np.argsort(key, kind="stable")] = np.arange(1, total + 1)
    keep = total if settings.keep == "all" else settings.keep
    return ordered.assign(rank=rank, kept=rank <= keep)


def unscored(ids: list[str]) -> pd.DataFrame:
    """Scores of a filter that is off: none."""
    return pd.DataFrame({"id": ids, "miou": np.nan, "cross_entropy": np.nan})
