"""The smoke preset from the demo to the report, in a copy with a Git and DVC of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
NOT_DRAWN = ["real_all", "real_8"]  # mixes of the smoke preset without synthetic pairs
pytestmark = pytest.mark.slow


def sh(folder, *command):
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    for name in ("DVC_ROOT", "RANK", "LOCAL_RANK", "PYTHONPATH"):
        environment.pop(name, None)
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, capture_output=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{output[-6000:]}"
    return output


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    listing = sh(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    sh(folder, sys.executable, "-m", "pipeline.io.presets", "smoke")
    use_one_architecture(folder / "params.yaml")
    sh(folder, "git", "init", "-q")
    sh(folder, "git", "config", "user.email", "someone@example.org")
    sh(folder, "git", "config", "user.name", "someone")
    sh(folder, "git", "add", "-A")
    sh(folder, "git", "commit", "-qm", "smoke")
    sh(folder, "dvc", "repro")
    sh(folder, "git", "add", "-A")
    sh(folder, "git", "commit", "-qm", "results")
    return folder


def use_one_architecture(path):
    """What differs between architectures is tested without the pipeline."""
    yaml = YAML()
    params = yaml.load(path)
    params["segmenters"]["architectures"] = ["fpn"]
    yaml.dump(params, path)


def hashes(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "data" / "synthetic" / "images").glob("*.png"))
    }


def ran(output):
    """Names of the stages that DVC ran, not those that it skipped or took from its cache."""
    return {
        line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")
    }


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
    sh(clone, "git", "checkout", "-q", ".")
    sh(clone, "dvc", "checkout", "-q", "--allow-missing")  # data/lemons was never fetched
    output = sh(clone, "dvc", "exp", "run", "-S", "sampling.guidance=2.5")
    stages = ran(output)
    assert {"sample", "filter-unet", "report"} <= stages
    assert not stages & {"preprocess-lemons-subsets", "train-image-dm", "finetune-image-dm"}
    trained = {stage for stage in stages if stage.startswith("train-segmenters@")}
    assert trained
    assert not any(stage.endswith(tuple(f"-{mix}" for mix in NOT_DRAWN)) for stage in trained)
    assert "sampling.guidance" in sh(clone, "dvc", "params", "diff")
    assert "metrics/summary.json" in sh(clone, "dvc", "metrics", "diff", "--all")


def settings(**changes):
    return [word for name, value in changes.items() for word in ("-S", f"{name}={value}")]


def test_synthset_runs_to_the_report_in_another_domain(clone):
    sh(clone, "git", "checkout", "-q", ".")
    sh(clone, "dvc", "checkout", "-q", "--allow-missing")
    changes = {
        "image_dm.kind": "pair",
        "image_dm.reduction": 2,
        "image_dm.pair.discriminator.enabled": "true",
        "sampling.superres.enabled": "true",
        "external.enabled": "true",
        "external.dataset.path": "data/demo",
    }
    output = sh(clone, "dvc", "exp", "run", *settings(**changes))
    assert {"train-image-dm", "train-superres", "sample", "finetune-segmenters"} <= ran(output)
    assert "masks.source: real is not used" in output
    synthetic = pd.read_parquet(clone / "data/synthetic/manifest.parquet")
    assert set(synthetic["superres"]) == {"ddim"}
    assert synthetic["mask_id"].str.startswith("drawn_").all()
    external = pd.read_csv(clone / "metrics/external.csv")
    assert set(external["stage"]) == {"before", "after"}
    page = (clone / "metrics/report/index.html").read_text()
    assert "against a discriminator" in page and "In another domain" in page
    assert "weights to choose from" in page


def test_copy_and_paste_needs_no_training(clone):
    sh(clone, "git", "checkout", "-q", ".")
    sh(clone, "dvc", "checkout", "-q", "--allow-missing")
    output = sh(clone, "dvc", "exp", "run", "-S", "image_dm.kind=copy_paste", "sample")
    assert {"train-image-dm", "sample"} <= ran(output)
    synthetic = pd.read_parquet(clone / "data/synthetic/manifest.parquet")
    assert synthetic["mask_id"].str.startswith("pasted_").all()
    assert not (clone / "data/models/image_dm/curve.csv").exists()


def test_all_latent_runs_and_switching_back_trains_nothing(clone):
    sh(clone, "git", "checkout", "-q", ".")
    sh(clone, "dvc", "checkout", "-q", "--allow-missing")
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
