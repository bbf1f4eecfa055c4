"""Stage `report`: metrics/summary.json, the CSV tables and the page in metrics/report."""

from pipeline.evaluation.differences import HEADLINE, differences, group_sums
from pipeline.evaluation.mask_statistics import compare, measure
from pipeline.evaluation.score_table import POOLED, RUN, headline_scores, score_table
from pipeline.io.errors import run
from pipeline.io.manifests import read_classes, read_manifest, read_split
from pipeline.io.params import read_params, section, value
from pipeline.reporting import tables
from pipeline.reporting.contents import PREPARED, SYNTHETIC, Results, synthetic_mixes
from pipeline.reporting.external import ExternalResults, read_external
from pipeline.reporting.masks import MaskResults, read_masks
from pipeline.reporting.outputs import write_report
from pipeline.reporting.quality import read_quality
from pipeline.reporting.runs import baselines, read_counts, read_curves
from pipeline.reporting.settings import ReportSettings


def main() -> None:
    """Turn the segmenters' pixel counts and the masks into tables and the page."""
    params = read_params()
    settings = section(ReportSettings, "report", params)
    compared = baselines(params)
    counts = read_counts(params)
    scores, all_scores = headline_scores(counts), score_table(counts)
    sums = group_sums(counts)
    gained = differences(sums, compared, settings.resamples, params["seed"])
    table = tables.mix_table(scores, gained[gained["figure"] == HEADLINE], compared)
    defects = all_scores["class"].isin(counts.loc[counts["class_index"] > 0, "class"])
    common = params["segmenters"]["baseline"]
    results = Results(
        counts=counts,
        curves=read_curves(params),
        scores=scores,
        all_scores=all_scores,
        class_scores=all_scores[defects & (all_scores["reduction"] == POOLED)],
        sums=sums,
        gained=gained,
        table=table,
        headline=tables.summary(table, common, synthetic_mixes(params)),
        baselines=compared,
        masks=_masks(),
        quality=read_quality(),
        external=_external() if value("external.enabled", params) else None,
    )
    write_report(params, settings, results)


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


def _external() -> ExternalResults:
    counts, run = read_external()
    return ExternalResults(counts, score_table(counts, [*RUN, "stage"]), run)


if __name__ == "__main__":
    run(main)
