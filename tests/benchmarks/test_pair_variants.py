"""The comparison of pair networks as a command, on squares."""

import sys

import pandas as pd
import pytest
from accelerate.state import AcceleratorState
from PIL import Image
from ruamel.yaml import YAML

from benchmarks import pair_variants
from tests.autoencoding.squares import write_prepared

BLOCKS = {"width": 4, "multipliers": [1, 2], "blocks": 1, "groups": 2}


@pytest.fixture
def project(tmp_path, monkeypatch):
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_prepared(tmp_path / "prepared", size=32)
    content = {
        "seed": 0,
        "condition": {"object": True},
        "image_dm": {
            "pair": {
                "network": {**BLOCKS, "heads": 2},
                "diffusion": {"loss": "mse", "timesteps": 20},
                "training": {"max_steps": 500, "batch_size": 2, "threads": 1},
                "discriminator": {"network": BLOCKS},
            }
        },
        "filter": {
            "network": {"encoder": "tu-tf_efficientnet_lite0", "encoder_weights": None},
            "training": {"batch_size": 2, "budget": {"unit": "steps", "amount": 1}},
        },
    }
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(content, file)
    return tmp_path


def test_a_row_and_a_line_of_the_picture_for_each_variant(project, monkeypatch, capsys):
    chosen = [pair_variants.VARIANTS[0], pair_variants.VARIANTS[-1]]
    monkeypatch.setattr(pair_variants, "VARIANTS", chosen)
    paths = {"--prepared": "prepared", "--params": "params.yaml", "--out": "out"}
    arguments = [word for name, path in paths.items() for word in (name, str(project / path))]
    counts = ["--steps", "2", "--pairs", "5", "--sampler-steps", "2"]
    monkeypatch.setattr(sys, "argv", ["pair_variants", *arguments, *counts])
    pair_variants.main()
    table = pd.read_csv(project / "out/pair_variants.csv")
    assert table["architecture"].tolist() == [
        "concat",
        "two_encoder",
        "neighbours' masks",
        "real, validation",
    ]
    assert table["discriminator"].tolist()[:2] == [False, True]
    assert (table["steps"][:2] == 2).all()
    assert table[["val_loss", "colours", "parameters"]][:2].notna().all().all()
    assert (project / "out/pair_variants.md").read_text() in capsys.readouterr().out + "\n"
    with Image.open(project / "out/pair_variants.png") as picture:
        assert picture.width > 8 * 96  # four pairs


def test_every_architecture_meets_every_moderation_with_and_without_discriminator():
    assert len(set(pair_variants.VARIANTS)) == 2 + 2 * 3 * 2
