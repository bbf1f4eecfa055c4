"""The comparison of mask autoencoders as a command, on squares."""

import sys

import pandas as pd
import pytest
from ruamel.yaml import YAML

from benchmarks import mask_codecs
from tests.autoencoding.squares import write_prepared


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_prepared(tmp_path / "prepared", size=32)
    content = {
        "seed": 0,
        "condition": {"object": True},
        "mask_autoencoder": {
            "network": {"kind": "kl", "width": 8, "multipliers": [1, 2], "blocks": 1, "groups": 4},
            "loss": {},
            "rgb_loss": {"perceptual_weight": 0.0, "adversarial": {"weight": 0.0}},
            "training": {"max_steps": 500, "batch_size": 2, "threads": 1},
        },
    }
    with (tmp_path / "params.yaml").open("w") as file:
        YAML().dump(content, file)
    return tmp_path


def test_a_row_for_each_code(project, monkeypatch, capsys):
    paths = {"--prepared": "prepared", "--params": "params.yaml", "--out": "out"}
    arguments = [word for name, path in paths.items() for word in (name, str(project / path))]
    monkeypatch.setattr(sys, "argv", ["mask_codecs", *arguments, "--steps", "2"])
    mask_codecs.main()
    table = pd.read_csv(project / "out/mask_codecs.csv")
    assert table["code"].tolist() == ["one_hot", "bits", "rgb"]
    assert (table["steps"] == 2).all() and (table["latents"] == "3×16×16").all()
    assert table[["IoU mould", "IoU object"]].notna().all().all()
    assert (table["small regions"] == 2).all()
    text = (project / "out/mask_codecs.md").read_text()
    assert text in capsys.readouterr().out + "\n"
    assert text.splitlines()[1].count("---") == len(table.columns)
