"""The report on another domain: absent, before and after finetuning."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.images import write_image
from pipeline.io.manifests import read_manifest, write_manifest
from pipeline.reporting.external import ALONE, ALONE_TITLE, COLUMNS, FINETUNED
from pipeline.segmentation import finetuning
from stages.report import main
from tests.reporting.conftest import ARCHITECTURES, CLASSES, MIXES, PARAMS

SYNTHETIC = "real_all-synthetic_all"

# pixels of class 1 of three photos of 100: found, wrongly found, missed
PHOTOS = {
    "before": [(10, 10, 20), (0, 0, 0), (30, 0, 10)],
    "after": [(30, 5, 0), (0, 0, 0), (40, 0, 0)],
}


def enable(stages=("before", "after"), alone=False):
    with Path("params.yaml").open("w") as file:
        YAML().dump(PARAMS | {"external": PARAMS["external"] | {"enabled": True}}, file)
    rows = []
    for architecture in ARCHITECTURES:
        for mix in [*MIXES, *([ALONE] if alone else [])]:
            write_image(
                FINETUNED / f"{architecture}-{mix}/examples.png", np.zeros((8, 8, 3), np.uint8)
            )
            for seed in (0, 1):
                for stage in stages if mix != ALONE else ["after"]:
                    for photo, (tp, fp, fn) in enumerate(PHOTOS[stage]):
                        tp = tp + seed if tp else 0  # the seeds differ
                        tp += 4 if tp and mix == SYNTHETIC else 0
                        for item in CLASSES:
                            counts = [
                                (100 - tp - fn - fp, fn, fp, tp),
                                (tp, fp, fn, 0),
                                (0, 0, 0, 100),
                            ]
                            key = (architecture, mix, seed, stage, f"p{photo}", f"g{photo // 2}")
                            rows.append((*key, item.index, item.name, *counts[item.index]))
    columns = [
        *("architecture", "mix", "seed", "stage", "id", "group", "class_index", "class"),
        *("tp", "fp", "fn", "tn"),
    ]
    pd.DataFrame(rows, columns=columns).to_parquet(FINETUNED / "counts.parquet")
    pairs = {"train": ["a", "b", "c"], "val": []} if "after" in stages else None
    write_json(FINETUNED / "run.json", {"pairs": pairs})
    frame = read_manifest(Path("data/prepared"))[:4].assign(split=["test"] * 3 + ["train"])
    # the last, which is not tested on, is a copy
    frame["image_sha256"] = [*"abc", frame["image_sha256"][3]]
    Path("data/external").mkdir()
    write_manifest(Path("data/external"), frame)


def one(table, **wanted):
    for name, content in wanted.items():
        table = table[table[name] == content]
    return table


def test_not_asked_for_there_is_a_header_and_no_section(finished, monkeypatch):
    monkeypatch.chdir(finished)
    assert Path("metrics/external.csv").read_text() == ",".join(COLUMNS) + "\n"
    html = Path("metrics/report/index.html").read_text()
    assert "another domain" not in html
    assert "data/field" not in html  # nor its parameters
    assert set(json.loads(Path("metrics/summary.json").read_text())) == set(ARCHITECTURES)


def test_scores_by_hand(project):
    enable()
    main()
    table = pd.read_csv("metrics/external.csv")
    assert table.columns.tolist() == COLUMNS
    run = {"architecture": "fpn", "mix": "real_all", "seed": 0, "class": "blemish"}
    (pooled,) = one(table, **run, stage="before", reduction="pooled").to_dict("records")
    assert pooled["dice"] == pytest.approx(80 / (80 + 10 + 30), abs=1e-4)
    assert pooled["iou"] == pytest.approx(40 / 80, abs=1e-4)
    (imagewise,) = one(table, **run, stage="before", reduction="imagewise").to_dict("records")
    # a photo without the class, of which nothing is predicted, counts as 1
    assert imagewise["iou"] == pytest.approx((0.25 + 1 + 0.75) / 3, abs=1e-4)
    assert imagewise["dice"] == pytest.approx((20 / 50 + 1 + 60 / 70) / 3, abs=1e-4)
    (after,) = one(table, **run, stage="after", reduction="imagewise").to_dict("records")
    assert after["iou"] == pytest.approx((30 / 35 + 1 + 1) / 3, abs=1e-4)
    both = one(table, **(run | {"class": "all but background"}), stage="before")
    assert set(both["reduction"]) == {"macro", "macro-imagewise"}
    # each (run, seed, stage): two defect classes and the background two ways, and all of them
    assert len(table) == len(ARCHITECTURES) * len(MIXES) * 2 * 2 * (3 * 2 + 2)


def test_the_page_shows_means_and_deviations_over_the_seeds(project):
    enable()
    main()
    html = Path("metrics/report/index.html").read_text()
    section = html[html.index('<section id="external"') : html.index('<section id="training"')]
    assert "3 test photos in 2 groups of data/field" in section
    assert "finetuned on 3 real pairs" in section
    scores = pd.read_csv("metrics/external.csv")
    wanted = one(
        scores,
        **{"architecture": "fpn", "mix": "real_16", "class": "all but background"},
        reduction="macro-imagewise",
    )
    row = section[section.index('<td class="text">real_16</td>', section.index(">fpn<")) :]
    cells = re.findall(r"<td>([\d.]+) <small>± ([\d.]+)</small></td>", row)[:4]
    expected = [
        (one(wanted, stage=stage)[figure].mean(), one(wanted, stage=stage)[figure].std())
        for stage in ("before", "after")
        for figure in ("dice", "iou")
    ]
    for (mean, deviation), (true_mean, true_deviation) in zip(cells, expected, strict=True):
        assert float(mean) == pytest.approx(true_mean, abs=6e-4)
        assert float(deviation) == pytest.approx(true_deviation, abs=6e-4)
    for name in re.findall(r'src="(images/external[^"]+)"', section):
        assert Path("metrics/report", name).exists()
    assert section.count("images/external_") == len(ARCHITECTURES) * len(MIXES)


def test_photos_that_the_models_learned_from_are_told(project):
    enable()
    main()
    page = Path("metrics/report/index.html")
    assert "figures flatter" not in page.read_text()
    frame = read_manifest(Path("data/external"))
    frame["image_sha256"] = read_manifest(Path("data/prepared"))["image_sha256"][:4]
    write_manifest(Path("data/external"), frame)
    main()
    assert "3 of these test photos are in the prepared set as well" in page.read_text()


def test_without_finetuning_one_pair_of_columns(project):
    enable(stages=("before",))
    main()
    html = Path("metrics/report/index.html").read_text()
    section = html[html.index('<section id="external"') : html.index('<section id="training"')]
    assert "as trained" in section and "inetuned" not in section
    assert set(pd.read_csv("metrics/external.csv")["stage"]) == {"before"}


def test_verdicts_of_the_finetuned_are_against_those_who_saw_the_external_pairs_alone(project):
    enable(alone=True)
    main()
    table = pd.read_csv("metrics/differences.csv")
    before, after = (
        table[table["figure"] == name] for name in ("external_dice", "external_dice_finetuned")
    )
    assert set(before["baseline"]) <= set(MIXES) and set(after["baseline"]) == {ALONE}
    assert set(after["mix"]) == set(MIXES)
    row = one(after, architecture="fpn", mix=SYNTHETIC).iloc[0]
    # one class of two gains on one photo of three: 34 and 35 pixels found, five of them wrongly
    gain = sum(2 * (tp + 4) / (2 * (tp + 4) + 5) - 2 * tp / (2 * tp + 5) for tp in (30, 31)) / 2
    assert row["difference"] == pytest.approx(gain / 6, abs=1e-6)
    assert (row["seeds"], row["groups"]) == (2, 2)
    figures = json.loads(Path("metrics/summary.json").read_text())["fpn"]
    assert figures["external_mix"] == SYNTHETIC
    assert figures["external_gain"] == pytest.approx(row["difference"], abs=1e-4)
    assert figures["external_verdict"] == row["verdict"]
    html = Path("metrics/report/index.html").read_text()
    assert ALONE_TITLE in html and "trained on the 3 pairs alone" in html
    assert f"In another domain <strong>{SYNTHETIC}</strong> gained" in html
    sums = pd.read_parquet("metrics/group_sums.parquet")
    assert set(sums["figure"]) == {
        "defect_iou", "miou", "external_dice", "external_iou", "external_dice_finetuned",
        "external_iou_finetuned", *(f"iou_{item.name}" for item in CLASSES[1:]),
    }  # fmt: skip
    assert {"iou_blemish", "iou_mould"} <= set(table["figure"])


def test_the_baseline_is_called_what_finetuning_calls_it():
    assert finetuning.ALONE == ALONE


def test_missing_counts_are_named(project):
    enable()
    (FINETUNED / "counts.parquet").unlink()
    with pytest.raises(UserError, match="dvc repro finetune-segmenters"):
        main()
