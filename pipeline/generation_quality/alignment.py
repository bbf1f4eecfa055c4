"""Alignment: does a photo show the defects where its mask has them?

The defect IoU of segmenters trained on real pairs, without the photo that the mask is from: one
that was trained on it finds the defects of a copy wherever they were. `filter-unet` trains such
judges (filter.folds) and gives real pairs to them as well, each to the one that does not know it:
that is what pairs score whose masks are right.
"""

import pandas as pd

from pipeline.generation_quality.measured import Measured

NO_JUDGES = (
    "no segmenters judged out of fold: set filter.score other than none and filter.folds from 2"
)


def mean_agreement(scores: pd.DataFrame | None) -> Measured:
    """Mean and standard deviation of the defect IoU over the pairs whose mask shows a defect.

    A pair without one would score nothing or, for a single wrong pixel, 0.

    Args:
        scores: `defect_iou` and `defect_share` of each pair; None = nobody judged out of fold.
    """
    if scores is None:
        return Measured(None, 0, note=NO_JUDGES)
    found = scores.loc[scores["defect_share"] > 0, "defect_iou"]
    if found.empty:
        return Measured(None, 0, note="no mask shows a defect")
    note = "defect IoU of segmenters that do not know the photo of the mask"
    return Measured(float(found.mean()), len(found), float(found.std(ddof=0)), note=note)
