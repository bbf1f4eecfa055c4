"""What the segmenters' pixel counts and the masks amount to: all that the report shows of them.

Brings together what reads the stages' outputs and what computes scores, differences and verdicts.
"""

from typing import Any

import pandas as pd

from pipeline.evaluation import differences
from pipeline.evaluation.mask_statistics import compare, measure
from pipeline.evaluation.score_table import POOLED, RUN, headline_scores, score_table
from pipeline.io.manifests import read_classes, read_manifest, read_split
from pipeline.io.params import value
from pipeline.reporting import external, tables
from pipeline.reporting.contents import PREPARED, SYNTHETIC, Results, synthetic_mixes
from pipeline.reporting.masks import MaskResults, read_masks
from pipeline.reporting.quality import read_quality
from pipeline.reporting.runs import baselines, read_counts, read_curves
from pipeline.reporting.settings import ReportSettings


def read_results(params: dict[str, Any], settings: ReportSettings) -> Results:
    """Everything, from the folders that the stages before the report wrote.

    Raises:
        UserError: one of them did not run.
    """
    compared, counts = baselines(params), read_counts(params)
    how = settings.resamples, params["seed"]
    of_classes = differences.class_figures(counts)
    sums = differences.group_sums(counts, differences.FIGURES | of_classes)
    # studies ask for the figure of a class whether it is the only one or not; a verdict on the only
    # one is that on all defects
    judged = sums[~sums["figure"].isin(of_classes)] if len(of_classes) == 1 else sums
    gained = differences.differences(judged, compared, *how)
    scores, all_scores = headline_scores(counts), score_table(counts)
    table = tables.mix_table(scores, gained[gained["figure"] == differences.HEADLINE], compared)
    defects = all_scores["class"].isin(counts.loc[counts["class_index"] > 0, "class"])
    elsewhere = _external(compared, *how) if value("external.enabled", params) else None
    further = [] if elsewhere is None else [elsewhere]
    common, synthetic = params["segmenters"]["baseline"], synthetic_mixes(params)
    return Results(
        counts=counts,
        curves=read_curves(params),
        scores=scores,
        all_scores=all_scores,
        class_scores=all_scores[defects & (all_scores["reduction"] == POOLED)],
        sums=pd.concat([sums, *(each.sums for each in further)], ignore_index=True),
        gained=pd.concat([gained, *(each.gained for each in further)], ignore_index=True),
        table=table,
        headline=tables.summary(table, common, synthetic, elsewhere and elsewhere.gained),
        baselines=compared,
        masks=_masks(),
        quality=read_quality(),
        external=elsewhere,
    )


def _masks() -> MaskResults:
    names = [item.name for item in read_classes(PREPARED)]
    figures = {
        "real": measure(read_masks(PREPARED, read_split(PREPARED, "train")), len(names)),
        "synthetic": measure(read_masks(SYNTHETIC, read_manifest(SYNTHETIC)), len(names)),
    }
    return MaskResults(
        table=compare(figures["real"], figures["synthetic"], names),
        regions={side: measured.regions for side, measured in figures.items()},
        objects={side: measured.objects for side, measured in figures.items()},
        places={side: measured.places for side, measured in figures.items()},
    )


def _external(compared: dict[str, str], resamples: int, seed: int) -> external.ExternalResults:
    """As trained against each mix's baseline, finetuned against those who saw the pairs alone."""
    counts, run = external.read_external()
    sums, gained = [], []
    for stage, suffix in external.SUFFIXES.items():
        of_stage = counts[counts["stage"] == stage]
        if of_stage.empty:
            continue
        figures = differences.EXTERNAL_FIGURES
        sums.append(
            differences.group_sums(of_stage, {name + suffix: figures[name] for name in figures})
        )
        alone = external.ALONE in set(of_stage["mix"])
        against = dict.fromkeys([*compared, external.ALONE], external.ALONE) if alone else compared
        gained.append(differences.differences(sums[-1], against, resamples, seed))
    scores = score_table(counts, [*RUN, "stage"])
    return external.ExternalResults(counts, scores, pd.concat(sums), pd.concat(gained), run)
