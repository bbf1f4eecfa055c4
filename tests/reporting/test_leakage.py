"""What the page says of the audit of the split."""

import shutil

from pipeline.io.atomic import write_json
from pipeline.reporting import leakage


def test_warnings_and_pairs_are_on_the_page(finished):
    html = (finished / "metrics/report/index.html").read_text()
    data = html[html.index('id="data"') :]
    assert "WARNING: 1 near-identical pairs" in data and 'src="images/leakage.png"' in data
    assert (finished / "metrics/report/images/leakage.png").exists()


def test_without_pairs_there_is_no_picture_and_without_audit_nothing(project):
    write_json(leakage.AUDIT / "summary.json", {"pairs_across_groups": 0, "told": ["none"]})
    assert leakage.section(project / "page") == {"told": ["none"], "picture": None}
    shutil.rmtree(leakage.AUDIT)
    assert leakage.section(project / "page") is None
