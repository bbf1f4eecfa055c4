"""The smoke preset from the demo to the report: semantic diffusion, then All-Latent."""

import json

import pandas as pd
import pytest

from tests.end_to_end.copies import commit, copy_checkout, go_back, hashes, ran, settings, sh

NOT_DRAWN = ["real_8"]  # mixes without synthetic pairs
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    copy_checkout(folder)
    sh(folder, "dvc", "repro")
    commit(folder)
    return folder


def test_from_photos_to_the_report(clone):
    prepared = pd.read_parquet(clone / "data/prepared/manifest.parquet")
    assert set(prepared["split"]) == {"train", "val", "test"}
    assert (prepared.groupby("group")["split"].nunique() == 1).all()
    synthetic = pd.read_parquet(clone / "data/synthetic/manifest.parquet")
    assert set(synthetic["mask_id"]) <= set(prepared.loc[prepared["split"] == "train", "id"])
    table = pd.read_csv(clone / "metrics/segmentation.csv")
    assert set(table["mix"]) > set(NOT_DRAWN)
    assert table["iou"].dropna().between(0, 1).all()
    summary = json.loads((clone / "metrics/summary.json").read_text())
    assert summary
    page = (clone / "metrics/report/index.html").read_text()
    assert "<script" not in page
    assert "https://" not in page.replace("https://www.w3.org", "")


def test_a_second_repro_does_nothing(clone):
    assert "Data and pipelines are up to date." in sh(clone, "dvc", "repro")


def test_a_change_of_the_program_reruns_what_uses_it(clone):
    with (clone / "pipeline/reporting/tables.py").open("a") as file:
        file.write("\n# changed\n")
    assert ran(sh(clone, "dvc", "repro")) == {"trace-code", "report"}
    go_back(clone)


def test_more_samples_keep_the_old_bytes(clone):
    before = hashes(clone)
    count = len(before) + 4
    output = sh(clone, "dvc", "repro", "sample", "-s", "--dry")
    assert "sample" not in ran(output)
    output = sh(clone, "dvc", "exp", "run", "-S", f"sampling.count={count}", "sample")
    assert ran(output) == {"check-parameters", "sample"}
    after = hashes(clone)
    assert len(after) == count
    assert {name: after[name] for name in before} == before


def test_guidance_reruns_only_what_depends_on_it(clone):
    go_back(clone)
    output = sh(clone, "dvc", "exp", "run", "-S", "sampling.guidance=2.5")
    stages = ran(output)
    assert {"sample", "filter-unet", "report"} <= stages
    assert not stages & {"preprocess-lemons-subsets", "train-image-dm", "finetune-image-dm"}
    trained = {stage for stage in stages if stage.startswith("train-segmenters@")}
    assert trained
    assert not any(stage.endswith(tuple(f"-{mix}" for mix in NOT_DRAWN)) for stage in trained)
    assert "sampling.guidance" in sh(clone, "dvc", "params", "diff")
    assert "metrics/summary.json" in sh(clone, "dvc", "metrics", "diff", "--all")


def test_all_latent_runs_and_switching_back_trains_nothing(clone):
    go_back(clone)
    before = hashes(clone)
    changes = {
        "image_dm.kind": "ldm",
        "masks.source": "diffusion",
    }
    output = sh(clone, "dvc", "exp", "run", *settings(**changes))
    trainings = {"train-autoencoder", "train-mask-autoencoder", "train-mask-dm", "train-image-dm"}
    assert trainings | {"sample", "report"} <= ran(output)
    synthetic = pd.read_parquet(clone / "data/synthetic/manifest.parquet")
    assert synthetic["mask_id"].str.startswith("drawn_").all()
    assert {"mask_rejected", "mask_fault"} <= set(synthetic)
    masks = pd.read_csv(clone / "metrics/masks.csv")
    assert {"real", "synthetic"} <= set(masks)
    output = sh(clone, "dvc", "exp", "run", "-S", "image_dm.kind=sdm", "-S", "masks.source=real")
    assert not ran(output) & (trainings | {"sample"})
    assert hashes(clone) == before
