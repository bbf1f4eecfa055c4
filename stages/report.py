"""Stage `report`: metrics/summary.json, the CSV tables and the page in metrics/report."""

from pathlib import Path

import pandas as pd

from pipeline.evaluation.score_table import POOLED, headline_scores, score_table
from pipeline.io.atomic import output_folder, write_json, write_text
from pipeline.io.errors import run
from pipeline.io.params import read_params, section
from pipeline.reporting import tables
from pipeline.reporting.contents import IMAGE_DM, Results, gather, synthetic_mixes
from pipeline.reporting.differences import differences
from pipeline.reporting.page import write_page
from pipeline.reporting.runs import baselines, read_counts, read_curves
from pipeline.reporting.settings import ReportSettings

METRICS = Path("metrics")


def main() -> None:
    """Turn the segmenters' pixel counts into tables and the page."""
    params = read_params()
    settings = section(ReportSettings, "report", params)
    compared = baselines(params)
    counts = read_counts(params)
    scores, all_scores = headline_scores(counts), score_table(counts)
    gained = differences(counts, compared, settings.resamples, params["seed"])
    table = tables.mix_table(scores, gained, compared)
    defects = all_scores["class"].isin(counts.loc[counts["class_index"] > 0, "class"])
    common = params["segmenters"]["baseline"]
    headline = tables.summary(table, common, synthetic_mixes(params))
    results = Results(
        counts=counts,
        curves=read_curves(params),
        scores=scores,
        class_scores=all_scores[defects & (all_scores["reduction"] == POOLED)],
        table=table,
        headline=headline,
        baselines=compared,
    )
    with output_folder(METRICS / "report") as folder:
        write_page(folder / "index.html", gather(folder, params, settings, results))
    write_json(METRICS / "summary.json", headline)
    curve = tables.training_curve(pd.read_csv(IMAGE_DM / "curve.csv"))
    for name, frame in {
        "segmentation": all_scores.round(tables.DECIMALS),
        "segmentation_iou": tables.iou_per_mix(table),
        "training_curve": curve,
    }.items():
        # an empty cell would be drawn as zero by `dvc plots`
        write_text(METRICS / f"{name}.csv", frame.to_csv(index=False, na_rep="NaN"))
    for architecture, figures in headline.items():
        print(f"{architecture}: {figures}")
    print("report: metrics/report/index.html")


if __name__ == "__main__":
    run(main)
