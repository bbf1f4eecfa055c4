"""All overlap scores of all segmenter runs as tables: a row per run and seed, class and reduction.

The scores themselves are defined in `pipeline.evaluation.overlap`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from pipeline.evaluation.overlap import (
    METRICS,
    REDUCTIONS,
    defect_iou,
    pooled_scores,
    reduce_score,
    stack_counts,
)

RUN = ["architecture", "mix", "seed"]
POOLED, IMAGEWISE = "pooled", "imagewise"
SCOPES = {"all classes": True, "all but background": False}


def score_table(counts: pd.DataFrame, by: Sequence[str] = RUN) -> pd.DataFrame:
    """Every score of every run and seed.

    Args:
        counts: the rows of all runs' counts.parquet.
        by: the columns that tell the runs apart.

    Returns:
        The columns `by`, class, reduction and one per metric. For a class by its name, `pooled` is
        its score over the pixels of all photos (NaN where 0/0) and `imagewise` the mean over
        photos; the rows of `SCOPES` hold each reduction over several classes.
    """
    rows = []
    for run, names, stacked in _runs(counts, by):
        for index, name in enumerate(names):
            alone = stacked[:, [index]]
            pooled = {metric: pooled_scores(alone, metric)[0] for metric in METRICS}
            imagewise = {m: reduce_score(alone, m, "macro-imagewise") for m in METRICS}
            rows.append((*run, name, POOLED, *pooled.values()))
            rows.append((*run, name, IMAGEWISE, *imagewise.values()))
        for scope, background in SCOPES.items():
            for reduction in REDUCTIONS:
                scores = [reduce_score(stacked, m, reduction, background) for m in METRICS]
                rows.append((*run, scope, reduction, *scores))
    return pd.DataFrame(rows, columns=[*by, "class", "reduction", *METRICS])


def headline_scores(counts: pd.DataFrame) -> pd.DataFrame:
    """`defect_iou` and `miou` (macro-imagewise, with background) of every run and seed."""
    rows = [
        (*run, defect_iou(stacked), reduce_score(stacked, "iou", "macro-imagewise"))
        for run, _, stacked in _runs(counts, RUN)
    ]
    return pd.DataFrame(rows, columns=[*RUN, "defect_iou", "miou"])


def _runs(counts: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[tuple, list[str], np.ndarray]]:
    """Each run, such as (architecture, mix, seed), its class names and its counts as N×C×4."""
    for run, frame in counts.groupby(list(by), sort=False):
        classes = frame.drop_duplicates("class_index").sort_values("class_index")
        yield run, classes["class"].tolist(), stack_counts(frame)
