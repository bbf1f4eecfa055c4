"""The page's section on the quality of the synthetic photos."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.generation_quality.distributions import MEASURES
from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.reporting import quality


def test_a_figure_stands_beside_that_of_real_photos(project):
    kid, alignment = quality.section(quality.read_quality())
    assert (kid["name"], kid["value"], kid["real"]) == ("KID", 0.1378, 0.0003)
    assert pd.isna(alignment["value"]) and "out of fold" in alignment["note"]
    Path("data/generation/figures.csv").unlink()
    with pytest.raises(UserError, match="run `dvc repro evaluate-samples`"):
        quality.read_quality()


def test_every_figure_has_words():
    assert set(MEASURES) < set(quality.NAMES)


def test_it_is_on_the_page_and_in_the_metrics(finished):
    html = (finished / "metrics/report/index.html").read_text()
    part = html[html.index("How near the synthetic") :]
    assert "0.138 <small>± 0.006" in part and "100 subsets of 6 photos" in part
    table = pd.read_csv(finished / "metrics/generation.csv")
    assert table["name"].tolist() == ["kid", "alignment"]


def test_copies_are_shown_or_why_not(finished, project):
    html = (finished / "metrics/report/index.html").read_text()
    assert "2 of 12 synthetic photos are copies" in html and "(5 % would by chance" in html
    assert (finished / "metrics/report/images/nearest.png").exists()
    write_json(quality.GENERATION / "memorisation.json", {"measured": False, "reason": "few"})
    assert quality.copies(project / "page") == {"measured": False, "reason": "few"}
    assert not (project / "page").exists()
