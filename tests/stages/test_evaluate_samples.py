"""evaluate-samples on squares: what it reads, what it writes, and that it tells good from bad."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline.generation_quality.distributions import MEASURES, fid
from pipeline.io.errors import UserError
from pipeline.io.images import read_image, sha256_of, write_image
from pipeline.io.manifests import read_manifest, read_split, write_classes, write_manifest
from stages import evaluate_samples
from tests.autoencoding.squares import CLASSES, write_prepared

SETTINGS = {
    "kid_subsets": 20,
    "kid_subset_size": 1000,
    "neighbours": 2,
    "diversity_pairs": 20,
    "pictured_photos": 2,
    "colour_bins": 32,
}
PREPARED, SYNTHETIC, OUT = Path("data/prepared"), Path("data/synthetic"), Path("data/generation")


def as_they_are(image):
    return image


def inverted(image):
    return 255 - image


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(MEASURES, "fid")  # a second each
    write_prepared(PREPARED, size=32, val=4)
    for row in read_manifest(PREPARED).query("split == 'test'").to_dict("records"):
        (PREPARED / row["image"]).write_text("no image: whoever opens it fails")
    write_samples(as_they_are)
    with Path("params.yaml").open("w") as file:
        YAML().dump({"seed": 0, "evaluate_samples": SETTINGS}, file)
    return tmp_path


def write_samples(change):
    """Two samples for each training mask: its photo changed, and the photo a little brighter."""
    shutil.rmtree(SYNTHETIC, ignore_errors=True)
    rows = []
    for index, row in enumerate(read_split(PREPARED, "train").to_dict("records") * 2):
        image = read_image(PREPARED / row["image"])
        brighter = (image * (1 + 0.1 * (index >= 6))).clip(0, 255).astype(np.uint8)
        name = f"images/synthetic_{index}.png"
        write_image(SYNTHETIC / name, change(brighter))
        (SYNTHETIC / "masks").mkdir(exist_ok=True)
        shutil.copy(PREPARED / row["mask"], SYNTHETIC / row["mask"])
        new = {"id": f"synthetic_{index}", "image": name, "object": None, "mask_id": row["id"]}
        rows.append(row | new | {"image_sha256": sha256_of(SYNTHETIC / name)})
    write_classes(SYNTHETIC, CLASSES)
    write_manifest(SYNTHETIC, pd.DataFrame(rows).drop(columns="split"))


def run():
    evaluate_samples.main()
    return json.loads((OUT / "figures.json").read_text())


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_figures_beside_those_of_real_photos(project, monkeypatch, capsys):
    monkeypatch.setitem(MEASURES, "fid", fid)
    figures = run()
    assert (figures["kid_n"], figures["kid_n_against"], figures["kid_reference_n"]) == (12, 6, 4)
    assert figures["kid_halves_n"] == 3 and figures["kid_halves"] is None  # needs 4
    assert figures["precision"] == 1
    assert figures["diversity_of_a_mask_n"] == 6 and figures["diversity_n"] == 20
    assert 0 < figures["diversity_of_a_mask"] < figures["diversity_of_a_mask_reference"]
    assert figures["alignment"] is None and "filter.folds" in figures["alignment_note"]
    assert "WARNING: fewer than 2,048 photos" in capsys.readouterr().out
    table = pd.read_csv(OUT / "figures.csv").set_index("name")
    assert table["value"].dropna().to_dict() == {
        name: figures[name] for name in table.index if figures[name] is not None
    }


def test_same_bytes_and_nothing_beside_them(project):
    before = set(contents(project))
    run()
    first = contents(OUT)
    run()
    assert contents(OUT) == first
    added = set(contents(project)) - before
    names = ("figures.json", "figures.csv", "memorisation.json")
    assert added == {f"data/generation/{name}" for name in names}


def test_bad_samples_score_worse(project):
    good = run()
    write_samples(inverted)
    bad = run()
    for name in ("kid", "colour_divergence"):
        assert bad[name] > 2 * abs(good[name]), name
    assert bad["precision"] < good["precision"]
    assert bad["kid_reference"] == good["kid_reference"]


def test_alignment_is_read_from_judges_out_of_fold(project):
    folder = Path("data/filtered")
    folder.mkdir()
    scores = pd.DataFrame({"defect_share": [0.1, 0.0], "defect_iou": [0.25, 0.0]})
    scores.to_parquet(folder / "scores.parquet")
    assert run()["alignment"] is None  # by a judge that knows all photos, or by none
    scores.assign(defect_iou=0.75).to_parquet(folder / "real_scores.parquet")
    figures = run()
    assert (figures["alignment"], figures["alignment_reference"]) == (0.25, 0.75)
    assert (figures["alignment_n"], figures["alignment_reference_n"]) == (1, 1)


def test_masks_that_are_drawn_for_once(project):
    frame = read_manifest(SYNTHETIC)
    write_manifest(SYNTHETIC, frame.assign(mask_id=frame["id"]))
    figures = run()
    assert figures["diversity_of_a_mask"] is None
    assert figures["diversity_of_a_mask_note"].startswith("no two samples of one mask")


def test_a_set_without_validation_photos(project):
    write_manifest(PREPARED, read_manifest(PREPARED).query("split != 'val'"))
    figures = run()
    assert figures["kid_reference"] is None and figures["kid"] is not None


def test_wrong_parameters_and_missing_samples_are_named(project):
    shutil.rmtree(SYNTHETIC)
    with pytest.raises(UserError, match="run the stage that makes data/synthetic"):
        run()
    with Path("params.yaml").open("w") as file:
        YAML().dump({"seed": 0, "evaluate_samples": SETTINGS | {"neighbours": 0}}, file)
    with pytest.raises(UserError, match=r"evaluate_samples\.neighbours: got 0"):
        run()
    assert not OUT.exists()
