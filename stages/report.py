"""Stage `report`: metrics/summary.json, the tables and the page in metrics/report."""

from pipeline.evidence.results import read_results
from pipeline.io.errors import run
from pipeline.io.params import read_params, section
from pipeline.reporting.outputs import write_report
from pipeline.reporting.settings import ReportSettings


def main() -> None:
    """Turn the segmenters' pixel counts and the masks into tables and the page."""
    params = read_params()
    settings = section(ReportSettings, "report", params)
    write_report(params, settings, read_results(params, settings))


if __name__ == "__main__":
    run(main)
