"""The smoke preset with photo and mask drawn together: SynthSet, copy and paste."""

import pandas as pd
import pytest

from tests.end_to_end.copies import copy_checkout, ran, settings, sh

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    copy_checkout(folder)
    return folder


def test_synthset_runs_to_the_report_in_another_domain(clone):
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
    output = sh(clone, "dvc", "exp", "run", "-S", "image_dm.kind=copy_paste", "sample")
    assert {"train-image-dm", "sample"} <= ran(output)
    synthetic = pd.read_parquet(clone / "data/synthetic/manifest.parquet")
    assert synthetic["mask_id"].str.startswith("pasted_").all()
    assert not (clone / "data/models/image_dm/curve.csv").exists()
