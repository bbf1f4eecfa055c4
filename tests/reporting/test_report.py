"""The report stage on a small finished project."""

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline.io.errors import UserError
from stages.report import main


class _Elements(HTMLParser):
    """Collects the attributes of every element."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def _elements(html):
    parser = _Elements()
    parser.feed(html)
    return parser.found


def _hashes(project):
    files = sorted(path for path in (project / "metrics").rglob("*") if path.is_file())
    return {
        str(path.relative_to(project)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_tables_agree_with_the_counts(finished, monkeypatch):
    monkeypatch.chdir(finished)
    counts = pd.read_parquet("data/models/segmenters/fpn-real_all/counts.parquet")
    defects = counts[counts["class_index"] > 0]
    summed = defects.groupby(["seed", "class"])[["tp", "fp", "fn"]].sum()
    iou = summed["tp"] / summed.sum(axis=1)

    summary = json.loads(Path("metrics/summary.json").read_text())
    assert summary["fpn"]["defect_iou"] == pytest.approx(iou.mean(), abs=1e-4)
    assert summary["fpn"]["best_mix"] == "real_16-synthetic_all"
    rows = pd.read_csv("metrics/segmentation.csv").query(
        "architecture == 'fpn' and mix == 'real_all' and reduction == 'pooled'"
    )
    for (seed, name), expected in iou.items():
        row = rows[(rows["seed"] == seed) & (rows["class"] == name)]
        assert row["iou"].item() == pytest.approx(expected, abs=1e-4)

    per_mix = pd.read_csv("metrics/segmentation_iou.csv").set_index("run")["defect_iou"]
    gain = per_mix["fpn, real_16-synthetic_all"] - per_mix["fpn, real_16"]
    assert summary["fpn"]["gain"] == pytest.approx(gain, abs=2e-4)
    assert "NaN" in Path("metrics/training_curve.csv").read_text()  # empty would be drawn as 0


def test_same_inputs_give_the_same_bytes(finished, project):
    main()
    assert _hashes(project) == _hashes(finished)


def test_page_opens_without_network_and_lacks_no_picture(finished, monkeypatch):
    monkeypatch.chdir(finished)
    page = Path("metrics/report/index.html")
    html = page.read_text()
    elements = _elements(html)
    assert not any(tag in ("script", "link", "iframe") for tag, _ in elements)
    pictures = [attrs for tag, attrs in elements if tag == "img"]
    assert len(pictures) == 2 * (6 + 6 + 3 + 3) + 1
    for picture in pictures:
        assert picture["alt"]
        assert (page.parent / picture["src"]).exists()
    assert "url(http" not in html
    assert "step 500" in html  # 90 is later than 500 to a sort by name
    assert "w = 1 + s = 1.5" in html
    assert "ldm" not in html  # not in use
    assert "24 of them, where the thesis counts 790" in html


def test_page_shows_training_photos_only(finished, monkeypatch):
    monkeypatch.chdir(finished)
    manifest = pd.read_parquet("data/prepared/manifest.parquet")
    html = Path("metrics/report/index.html").read_text()
    shown = set(re.findall(r"\d{4}_photo_\d\d", html))
    assert len(shown) == 6
    assert shown <= set(manifest.loc[manifest["split"] == "train", "id"])


def test_filter_s_ends_are_shown_in_its_order(finished, monkeypatch):
    monkeypatch.chdir(finished)
    html = Path("metrics/report/index.html").read_text()
    first, last = html.index("Ranked first"), html.index("Ranked last")
    assert re.findall(r"synthetic_\d+", html[first:last])[0] == "synthetic_000011"
    assert re.findall(r"synthetic_\d+", html[last:])[-1] == "synthetic_000000"
    assert "kept 8" in html


def test_without_a_filter_nothing_is_ranked(project):
    path = Path("data/filtered/scores.parquet")
    scores = pd.read_parquet(path).assign(miou=float("nan"), cross_entropy=float("nan"), kept=True)
    scores.to_parquet(path)
    main()
    html = Path("metrics/report/index.html").read_text()
    assert "No filter was used" in html
    assert "Ranked first" not in html
    assert "nan" not in html


def test_text_from_data_is_escaped(project):
    params = YAML(typ="safe").load(Path("params.yaml").read_text())
    name = "<script>alert(1)</script>"
    params["subsets"] = {name: {}}
    params["subset"] = name
    with Path("params.yaml").open("w") as file:
        YAML().dump(params, file)
    main()
    html = Path("metrics/report/index.html").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_wrong_setting_is_named(project):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("resamples: 200", "resamples: 0"))
    with pytest.raises(UserError, match=r"report\.resamples: got 0, expected"):
        main()
    assert not Path("metrics").exists()
