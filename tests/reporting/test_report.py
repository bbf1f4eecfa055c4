"""The report stage on a small finished project."""

import hashlib
import json
import re
import shutil
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.images import read_mask, write_image
from pipeline.io.manifests import read_split
from pipeline.reporting import leakage, quality, trainings
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


def test_page_and_summary_give_the_verdicts_of_the_table(finished, monkeypatch):
    monkeypatch.chdir(finished)
    table = pd.read_csv("metrics/differences.csv")
    assert table.groupby(["figure", "architecture"]).size().unique().tolist() == [4]
    rows = table[(table["figure"] == "defect_iou") & (table["architecture"] == "fpn")]
    by_mix = rows.set_index("mix")
    assert by_mix.loc["synthetic_all", "verdict"] == "worse"
    summary = json.loads(Path("metrics/summary.json").read_text())["fpn"]
    best = by_mix.loc[summary["best_mix"]]
    assert (best["verdict"], round(best["difference"], 4)) == (summary["verdict"], summary["gain"])

    html = Path("metrics/report/index.html").read_text()
    page = html[html.index("<caption>fpn</caption>") :]
    for mix, row in by_mix.iterrows():
        cells = page[page.index(f'<th scope="row">{mix}</th>') :].split("</tr>")[0]
        told = re.search(r'<td class="text (\w*)">(.*?)</td>', cells)
        assert told.group(2) == row["verdict"]
        assert told.group(1) == {"better": "up", "worse": "down"}.get(row["verdict"], "")
    assert "How to read it" in html


def test_page_shows_every_score_and_reduction(finished, monkeypatch):
    monkeypatch.chdir(finished)
    html = Path("metrics/report/index.html").read_text()
    rows = pd.read_csv("metrics/segmentation.csv").query(
        "architecture == 'fpn' and mix == 'real_16' and reduction == 'micro-imagewise'"
    )
    means = rows.groupby("class")[["iou", "dice", "precision", "recall", "accuracy"]].mean()
    part = html[html.index('aria-label="Table of reductions for fpn"') :]
    for scope, expected in means.iterrows():
        labels = "".join(f'<td class="text">{text}</td>' for text in (scope, "micro-imagewise"))
        found = re.search(rf"real_16</th>{labels}(.*?)</tr>", part)
        shown = [float(cell) for cell in re.findall(r"<td>([\d.]+)", found.group(1))]
        assert shown == pytest.approx(expected.tolist(), abs=1e-3)


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
    of_masks = 2 * (1 + 3)  # the training pair and three drawn ones, for each of two masks
    # pairs, grid of samples, masks, nearest photos, leakage
    assert len(pictures) == 2 * (6 + 6 + 3 + 3 + of_masks) + 1 + 2 + 2
    for picture in pictures:
        assert picture["alt"]
        assert (page.parent / picture["src"]).exists()
    assert "url(http" not in html
    assert "step 500" in html  # 90 is later than 500 to a sort by name
    assert "w = 1 + s = 1.5" in html
    assert "ldm" not in html  # not in use
    assert "mask_dm" not in html
    assert "24 of them, where the thesis counts 790" in html


def test_page_shows_training_photos_only(finished, monkeypatch):
    monkeypatch.chdir(finished)
    manifest = pd.read_parquet("data/prepared/manifest.parquet")
    html = Path("metrics/report/index.html").read_text()
    shown = set(re.findall(r"\d{4}_photo_\d\d", html))
    assert 6 <= len(shown) <= 6 + 2  # those whose mask was drawn for may be others
    assert shown <= set(manifest.loc[manifest["split"] == "train", "id"])


def test_filter_s_ends_are_shown_in_its_order(finished, monkeypatch):
    monkeypatch.chdir(finished)
    html = Path("metrics/report/index.html").read_text()
    first, last = html.index("Ranked first"), html.index("Ranked last")
    assert re.findall(r"synthetic_\d+", html[first:last])[0] == "synthetic_000011"
    assert re.findall(r"synthetic_\d+", html[last:])[-1] == "synthetic_000000"
    assert "kept 8" in html


def test_best_and_worst_by_alignment_where_judges_were_strangers(project):
    """Without real pairs judged, the judge knew the photos: no alignment is claimed."""
    page = Path("metrics/report/index.html")
    main()
    assert "by alignment" not in page.read_text()
    Path("data/filtered/real_scores.parquet").touch()
    main()
    html = page.read_text()
    best, worst = html.index("Best aligned"), html.index("Worst aligned")
    # the last has the highest defect IoU, but shows no defect
    assert re.findall(r"synthetic_\d+", html[best:worst])[0] == "synthetic_000010"
    assert "defect IoU 0.82" in html[best:worst]
    assert "Of 10 pairs whose mask shows a defect" in html
    assert re.findall(r"synthetic_\d+", html[worst:])[0] == "synthetic_000003"  # of three


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


def test_masks_agree_with_the_files(finished, monkeypatch):
    monkeypatch.chdir(finished)
    manifest = read_split(Path("data/prepared"), "train")
    masks = [read_mask(Path("data/prepared") / path) for path in manifest["mask"]]
    table = pd.read_csv("metrics/masks.csv").set_index("what")
    shares = [(mask == 1).mean() for mask in masks]
    assert table.loc["blemish: share of pixels", "real"] == pytest.approx(np.mean(shares), abs=1e-4)
    assert table.loc["mould: share of masks that show it", "real"] == 0.5
    assert "object: share of pixels" in table.index
    assert "mask: implausible draws" not in table.index  # no mask model drew them
    assert Path("metrics/report/masks.png").exists()


def test_implausible_masks_are_told(project):
    path = Path("data/synthetic/manifest.parquet")
    manifest = pd.read_parquet(path)
    rejected = [["empty"], ["empty", "outside_object"]] + [[]] * 10
    kept = [None] * 11 + ["object_size"]
    names = [f"drawn_{n:06d}" for n in range(12)]
    manifest.assign(mask_rejected=rejected, mask_fault=kept, mask_id=names).to_parquet(path)
    main()
    html = Path("metrics/report/index.html").read_text()
    assert "drew 15 masks, of which 4 (26.7 %) are implausible" in html
    row = html[html.index("no defect at all") :]
    assert re.findall(r"<td>(.*?)</td>", row)[:3] == ["2", "0", "13.3 %"]
    row = html[html.index("far smaller or larger") :]
    assert re.findall(r"<td>(.*?)</td>", row)[:3] == ["0", "1", "6.7 %"]
    table = pd.read_csv("metrics/masks.csv").set_index("what")
    assert table.loc["mask: implausible draws", "synthetic"] == pytest.approx(4 / 15, abs=1e-4)


def test_further_trainings_are_shown_and_unused_ones_are_not(project):
    shutil.copytree("data/models/image_dm", "data/models/mask_dm")
    write_json(Path("data/models/mask_dm/training.json"), {"implausible": {"share": 0.125}})
    write_json(Path("data/models/autoencoder/unused.json"), {"used": False, "reason": "sdm"})
    main()
    html = Path("metrics/report/index.html").read_text()
    assert "Mask model: samples at step 500" in html
    assert "<dt>implausible.share</dt><dd>0.125</dd>" in html
    assert "Autoencoder" not in html
    assert Path("metrics/report/images/mask_dm.png").exists()


def test_weights_to_choose_from_stand_side_by_side(project):
    model = Path("data/models/image_dm")
    curve = pd.read_csv(model / "curve.csv")
    measured = curve.index % 2 == 0
    curve["colour_divergence"] = np.where(measured, 0.02, np.nan)
    curve.to_csv(model / "curve.csv", index=False)
    for name in ("best", "last", "val_loss"):
        write_image(model / f"candidates/{name}.png", np.zeros((4, 4, 3), np.uint8))
    figures = {
        "steps": 500,
        "monitor": "colour_divergence",
        "best_step": 300,
        "best_value": 0.0123,
        "candidates": {"val_loss": {"step": 400, "value": 0.5}},
    }
    write_json(model / "training.json", figures)
    main()
    html = Path("metrics/report/index.html").read_text()
    told = re.findall(r"<figcaption><strong>(\w+)</strong>(.*?)</figcaption>", html)
    assert told == [
        ("best", ": lowest divergence of colours, 0.0123, step 300"),
        ("val_loss", ": lowest validation loss, 0.5000, step 400"),
        ("last", " (drew the pairs): last step, step 500"),
    ]
    assert Path("metrics/report/images/image_dm-val_loss.png").exists()
    assert html.count("Jensen-Shannon divergence between") == 1
    assert "colour_divergence" in Path("metrics/training_curve.csv").read_text()


def test_a_method_without_training_or_mask_source_says_so(project):
    shutil.rmtree("data/models/image_dm")
    write_json(Path("data/models/image_dm/settings.json"), {"kind": "copy_paste"})
    params = YAML().load(Path("params.yaml").read_text())
    params["image_dm"]["kind"] = "copy_paste"
    with Path("params.yaml").open("w") as file:
        YAML().dump(params, file)
    main()
    html = Path("metrics/report/index.html").read_text()
    assert "<dd>none: objects cut out of training photos and pasted</dd>" in html
    assert "<dd>nowhere else: made with their photos</dd>" in html
    assert "<summary>masks</summary>" not in html
    assert "Image model: loss" not in html
    assert len(pd.read_csv("metrics/training_curve.csv")) == 1


def _tear(path):
    whole = path.read_bytes()  # half a CSV file would be a table
    path.write_bytes(b"\xff\xfe" if path.suffix == ".csv" else whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("path", "stage", "read"),
    [
        ("models/segmenters/fpn-real_all/counts.parquet", "train-segmenters@fpn-real_all", main),
        ("models/segmenters/fpn-real_all/curve.csv", "train-segmenters@fpn-real_all", main),
        ("filtered/scores.parquet", "filter-unet", main),
        ("generation/figures.csv", "evaluate-samples", quality.read_quality),
        ("generation/memorisation.json", "evaluate-samples", partial(quality.copies, Path("page"))),
        ("audit/summary.json", "audit-split", partial(leakage.section, Path("page"))),
        ("models/image_dm/curve.csv", "train-image-dm", trainings.image_curve),
    ],
)
def test_damaged_results_are_named_with_the_stage_that_makes_them_anew(project, path, stage, read):
    _tear(Path("data") / path)
    with pytest.raises(UserError) as caught:
        read()
    told = str(caught.value)
    assert told.startswith(f"data/{path}: damaged") and stage in told and "\n" not in told
    assert not [found for found in Path("metrics").rglob("*") if found.is_file()]
