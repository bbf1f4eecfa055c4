"""Ranks of synthetic pairs by the scores of U-Nets trained on real ones (the thesis's chapter 6.1).

A prediction on a synthetic photo is compared with the mask the photo was drawn for: a high IoU or
a low cross-entropy says that the defect is where the mask has it. It also says that the defect is
easy, so the best pairs are the easiest ones; `order: worst` keeps the others. Least to get wrong
has a mask that is nearly empty, and such pairs won in the thesis (figure 7.1): the floor
`minimal_defect_share` shuts them out.
"""

import numpy as np
import pandas as pd

from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError
from pipeline.segmentation.filtering import FIGURES, FilterSettings

COLUMNS = ["id", *FIGURES, "fold"]
HIGHER_IS_BETTER = {"miou": True, "defect_iou": True, "cross_entropy": False}


def defect_shares(pairs: Pairs) -> pd.DataFrame:
    """`id` and `defect_share`, the share of the mask's pixels of all defect classes, of each."""
    shares = [np.count_nonzero(mask) / mask.size for mask in pairs.masks]
    return pd.DataFrame({"id": pairs.ids, "defect_share": shares})


def rank_pairs(scores: pd.DataFrame, settings: FilterSettings) -> pd.DataFrame:
    """The table of scores.parquet, ordered by id.

    Args:
        scores: `id` and any of `FIGURES` and `fold`; NaN where a pair has no such score.
        settings: what to rank by and how many to keep.

    Returns:
        The same with `rank` (1 = first to be kept) and `kept`. Pairs below the floor come after
        all others, and before them those without the score, such as the defect IoU where neither
        mask nor prediction shows a defect; equal scores follow the ids.

    Raises:
        UserError: more pairs to keep than reach the floor, or none that does.
    """
    ordered = scores.sort_values("id", ignore_index=True).reindex(columns=COLUMNS)
    ordered["fold"] = ordered["fold"].astype("Int64")
    below = (ordered["defect_share"] < settings.minimal_defect_share).to_numpy()
    key = _key(ordered, settings)
    rank = np.empty(len(ordered), dtype=np.int64)
    rank[np.lexsort([key, np.isnan(key), below])] = np.arange(1, len(ordered) + 1)
    kept = (rank <= _total_kept(settings, below)) & ~below
    return ordered.assign(rank=rank, kept=kept)


def _key(ordered: pd.DataFrame, settings: FilterSettings) -> np.ndarray:
    """What ranks the pairs, the smallest first; NaN without the score."""
    if settings.score == "none":
        return np.zeros(len(ordered))
    figures = ordered[settings.score].to_numpy()
    largest_first = HIGHER_IS_BETTER[settings.score] == (settings.order == "best")
    return -figures if largest_first else figures


def _total_kept(settings: FilterSettings, below: np.ndarray) -> int:
    total, reach_it, floor = len(below), int((~below).sum()), settings.minimal_defect_share
    if reach_it == 0:
        raise UserError(
            f"filter.minimal_defect_share: got {floor}, which none of {total} synthetic pairs "
            "reaches; lower it"
        )
    if settings.keep == "all":
        return reach_it
    is_share = isinstance(settings.keep, float)
    wanted = max(1, round(settings.keep * total)) if is_share else settings.keep
    if wanted > reach_it:
        among = f" ({total} less those below filter.minimal_defect_share {floor})" if floor else ""
        raise UserError(
            f"filter.keep: asks for {wanted}, expected at most {reach_it} synthetic "
            f"pairs{among}; raise sampling.count or keep fewer"
        )
    return wanted
