"""The stage audit-split on a prepared set in a folder of its own."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.io.images import read_image, write_image
from stages.audit_split import main

PREPARED, OUT = Path("data/prepared"), Path("data/audit")
PARAMS = "audit:\n  enabled: true\n  false_pairs: 0.05\n  pictured_pairs: 4\n"


def write_prepared(photos, splits, groups=None):
    sources = [f"photos/{chr(97 + index % 26)}{index}.jpg" for index in range(len(photos))]
    frame = pd.DataFrame(
        {
            "id": [f"p{index:02d}" for index in range(len(photos))],
            "split": splits,
            "source": sources,
            "group": groups or sources,
            **dict.fromkeys(("mask", "object", "image_sha256", "mask_sha256"), ""),
        }
    )
    frame["classes"] = [[] for _ in photos]
    frame["image"] = [f"images/{name}.png" for name in frame["id"]]
    for path, photo in zip(frame["image"], photos, strict=True):
        write_image(PREPARED / path, photo)
    frame.to_parquet(PREPARED / "manifest.parquet")
    return frame


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(30, 32, 32)), (0, 1.2, 1.2))
    grey = (120 + 50 * noise / noise.std()).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


SPLITS = ["train"] * 18 + ["val"] * 4 + ["test"] * 8


def test_a_test_photo_that_is_a_flipped_training_photo_is_told(photos, capsys):
    photos[25] = photos[3, ::-1] // 2
    write_prepared(photos, SPLITS)
    main()
    printed = capsys.readouterr().out
    assert "WARNING: 1 near-identical pairs lie on two sides of the split (1 train and test)" in (
        printed
    )
    assert "1 of 8 test photos" in printed and "split.group_csv: groups.csv" in printed
    assert "split.folds: 5" in printed
    (row,) = pd.read_csv(OUT / "leakage.csv").to_dict("records")
    assert (row["first"], row["second"], row["flip"]) == ("p03", "p25", "top-bottom")
    assert (row["first_split"], row["second_split"]) == ("train", "test")
    groups = pd.read_csv(OUT / "groups.csv").set_index("image")["group"]
    assert groups[row["first_source"]] == groups[row["second_source"]]
    assert groups.nunique() == 29
    figures = json.loads((OUT / "summary.json").read_text())
    assert figures["test_photos_leaked"] == 1 and figures["sides"] == {"train and test": 1}
    assert read_image(OUT / "pairs.png").std() > 0


def test_groups_that_keep_the_pair_together_silence_the_warning(photos, capsys):
    photos[19] = photos[20]
    groups = [f"g{index}" for index in range(30)]
    groups[19] = groups[20]
    write_prepared(photos, SPLITS, groups)
    main()
    assert "WARNING" not in capsys.readouterr().out
    assert pd.read_csv(OUT / "leakage.csv").empty
    assert json.loads((OUT / "summary.json").read_text())["pairs_within_groups"] == 1


def test_a_pair_on_one_side_by_luck_is_told_too(photos, capsys):
    photos[1] = photos[0]
    write_prepared(photos, SPLITS)
    main()
    assert "on one side by luck" in capsys.readouterr().out


def test_two_runs_write_the_same_bytes(photos):
    photos[25] = photos[3]
    write_prepared(photos, SPLITS)
    written = []
    for _ in range(2):
        main()
        written.append({path.name: path.read_bytes() for path in OUT.iterdir()})
    assert written[0] == written[1]


def test_switched_off_it_compares_nothing(photos):
    Path("params.yaml").write_text(PARAMS.replace("true", "false"))
    main()
    assert [path.name for path in OUT.iterdir()] == ["unused.json"]
