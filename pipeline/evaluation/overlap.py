"""Overlap of predicted and true masks, reduced from the pixel counts of each image and class.

Scores are those of the thesis's chapter 7.1.1 (after Müller et al. 2022), the reductions those of
segmentation-models-pytorch, which the thesis used. Two remarks on them:

- The thesis's equation 7.3, TN / (TN + FP), is called precision there but is the specificity.
  Here precision is TP / (TP + FP), and the specificity has its own name.
- A class that neither the truth nor the prediction of an image shows has an undefined IoU, 0/0.
  As in segmentation-models-pytorch it counts as 1 there, which flatters the imagewise reductions
  of rare classes, and the background's high IoU flatters all that include it: a prediction of
  nothing but background scores a macro-imagewise IoU near 0.495 on the thesis's lemons. So always
  report `defect_iou`, which pools the images and leaves the background out, beside them.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

COUNTS = ("tp", "fp", "fn", "tn")
UNDEFINED_SCORE = 1.0  # of 0/0, as segmentation-models-pytorch's default zero_division

Metric = Literal["iou", "dice", "precision", "recall", "specificity", "accuracy"]
Reduction = Literal["macro", "micro", "macro-imagewise", "micro-imagewise"]


def _iou(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return _ratio(tp, tp + fp + fn)  # eq. 7.4


def _dice(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return _ratio(2 * tp, 2 * tp + fp + fn)  # eq. 7.5


def _precision(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return _ratio(tp, tp + fp)


def _recall(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return _ratio(tp, tp + fn)  # eq. 7.2


def _specificity(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return _ratio(tn, tn + fp)  # eq. 7.3


def _accuracy(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    return _ratio(tp + tn, tp + fp + fn + tn)  # eq. 7.1


METRICS: dict[Metric, Callable[..., np.ndarray]] = {
    "iou": _iou,
    "dice": _dice,
    "precision": _precision,
    "recall": _recall,
    "specificity": _specificity,
    "accuracy": _accuracy,
}


def _macro(metric: Callable[..., np.ndarray], counts: np.ndarray) -> np.ndarray:
    return _defined(metric(*counts.sum(axis=0).T)).mean()


def _micro(metric: Callable[..., np.ndarray], counts: np.ndarray) -> np.ndarray:
    return _defined(metric(*counts.sum(axis=(0, 1))))


def _macro_imagewise(metric: Callable[..., np.ndarray], counts: np.ndarray) -> np.ndarray:
    return _defined(metric(*np.moveaxis(counts, 2, 0))).mean()


def _micro_imagewise(metric: Callable[..., np.ndarray], counts: np.ndarray) -> np.ndarray:
    return _defined(metric(*counts.sum(axis=1).T)).mean()


REDUCTIONS: dict[Reduction, Callable[..., np.ndarray]] = {
    "macro": _macro,
    "micro": _micro,
    "macro-imagewise": _macro_imagewise,
    "micro-imagewise": _micro_imagewise,
}


def reduce_score(
    counts: np.ndarray, metric: Metric, reduction: Reduction, background: bool = True
) -> float:
    """One figure for many images and classes; for one class alone pass `counts[:, [index]]`.

    Args:
        counts: int N×C×4, the pixels TP, FP, FN, TN of each image and class; class 0 is the
            background. N and C at least 1.
        metric: what is measured. `accuracy` is each class's own, one class against the rest.
        reduction: `macro` averages the scores of the classes, each pooled over the images;
            `micro` scores the sum over images and classes; `…-imagewise` does either for each
            image and averages the images.
        background: whether class 0 takes part.

    Returns:
        The score in [0, 1]; 0/0 counts as 1.
    """
    _check_counts(counts)
    selected = counts if background else counts[:, 1:]
    return float(REDUCTIONS[reduction](METRICS[metric], selected))


def pooled_scores(counts: np.ndarray, metric: Metric) -> np.ndarray:
    """Each class's score, float C, over the pixels of all images; NaN where it is 0/0."""
    _check_counts(counts)
    return METRICS[metric](*counts.sum(axis=0).T)


def defect_iou(counts: np.ndarray) -> float:
    """Mean over the defect classes (all but 0) of their IoU pooled over the images.

    A class that neither truth nor prediction shows in any image is left out; NaN if that leaves
    none.
    """
    scores = pooled_scores(counts, "iou")[1:]
    shown = scores[~np.isnan(scores)]
    return float(shown.mean()) if len(shown) else float("nan")


def stack_counts(frame: pd.DataFrame) -> np.ndarray:
    """int64 N×C×4 from one seed's rows of counts.parquet, images in the order of their ids.

    Args:
        frame: rows of one architecture, mix and seed: `id`, `class_index`, `tp`, `fp`, `fn`, `tn`.

    Raises:
        ValueError: a pair of id and class is missing or there twice.
    """
    total_classes = int(frame["class_index"].max()) + 1
    ordered = frame.sort_values(["id", "class_index"])
    expected = np.tile(np.arange(total_classes), frame["id"].nunique())
    if not np.array_equal(ordered["class_index"].to_numpy(), expected):
        raise ValueError(
            f"counts: got {len(frame)} rows for {frame['id'].nunique()} images, expected one row "
            f"for each image and each of {total_classes} classes; pass one seed at a time"
        )
    return ordered[list(COUNTS)].to_numpy(np.int64).reshape(-1, total_classes, len(COUNTS))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(part, dtype=np.float64) / whole


def _defined(scores: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(scores), UNDEFINED_SCORE, scores)


def _check_counts(counts: np.ndarray) -> None:
    if counts.ndim != 3 or counts.shape[2] != len(COUNTS) or 0 in counts.shape:
        raise ValueError(f"counts: got shape {counts.shape}, expected N×C×4 with N, C ≥ 1")
