"""Writes what the report stage leaves: the headline figures, the CSV tables, the page."""

from pathlib import Path
from typing import Any

from pipeline.io.atomic import output_folder, write_bytes, write_json, write_text
from pipeline.io.manifests import read_manifest
from pipeline.reporting import external, tables, trainings
from pipeline.reporting.contents import SYNTHETIC, Results, gather
from pipeline.reporting.masks import csv_table
from pipeline.reporting.page import write_page
from pipeline.reporting.settings import ReportSettings

METRICS = Path("metrics")


def write_report(params: dict[str, Any], settings: ReportSettings, results: Results) -> None:
    """Write metrics/summary.json, the tables and metrics/report, and print the headline."""
    with output_folder(METRICS / "report") as folder:
        write_page(folder / "index.html", gather(folder, params, settings, results))
    write_json(METRICS / "summary.json", results.headline)
    write_bytes(METRICS / "group_sums.parquet", results.sums.to_parquet(index=False))
    curve = trainings.image_curve()
    for name, frame in {
        "segmentation": results.all_scores.round(tables.DECIMALS),
        "differences": results.gained.round(tables.DECIMALS + 2),
        "segmentation_iou": tables.iou_per_mix(results.table),
        "training_curve": curve,
        "masks": csv_table(results.masks, read_manifest(SYNTHETIC)).round(tables.DECIMALS),
        "generation": results.quality,
        "external": external.csv_table(results.external),
    }.items():
        # an empty cell would be drawn as zero by `dvc plots`
        write_text(METRICS / f"{name}.csv", frame.to_csv(index=False, na_rep="NaN"))
    for architecture, figures in results.headline.items():
        print(f"{architecture}: {figures}")
    print("report: metrics/report/index.html")
