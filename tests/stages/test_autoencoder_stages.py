"""train-autoencoder and train-mask-autoencoder: used or not, by the parameters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages import train_autoencoder, train_mask_autoencoder

REPOSITORY = Path(__file__).parents[2]
FOLDERS = {"train_autoencoder": "autoencoder", "train_mask_autoencoder": "mask_autoencoder"}


def write_params(folder: Path, kind="sdm", source="real", mask_kind="latent") -> None:
    content = {
        "seed": 0,
        "image_dm": {"kind": kind},
        "masks": {"source": source},
        "mask_dm": {"kind": mask_kind},
        "condition": {"object": True},
        "autoencoder": {"network": {"width": "wide"}},
        "mask_autoencoder": {"code": "morse"},
    }
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(content, file)


@pytest.mark.parametrize(
    ("stage", "params", "reason"),
    [
        ("train_autoencoder", {}, "image_dm.kind is sdm"),
        ("train_mask_autoencoder", {}, "masks.source is real"),
        ("train_mask_autoencoder", {"kind": "ldm", "source": "augmented"}, "masks.source is augm"),
        (
            "train_mask_autoencoder",
            {"source": "diffusion", "mask_kind": "pixel"},
            "mask_dm.kind is pixel",
        ),
    ],
)
def test_unused_stage_says_why_without_torch(tmp_path, stage, params, reason):
    write_params(tmp_path, **params)
    script = (
        f"import sys; from stages import {stage}; {stage}.main();"
        "heavy = {'torch', 'diffusers', 'numpy', 'pandas'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"not used, {reason}" in done.stdout and len(done.stdout.splitlines()) == 1
    folder = tmp_path / "data/models" / FOLDERS[stage]
    assert [path.name for path in folder.iterdir()] == ["unused.json"]
    content = json.loads((folder / "unused.json").read_text())
    assert content["used"] is False and content["reason"].startswith(reason)


def test_used_stages_read_their_sections(tmp_path, monkeypatch):
    from pipeline.io.errors import UserError

    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, kind="ldm", source="diffusion")
    with pytest.raises(UserError, match=r"autoencoder\.network\.width: got 'wide'"):
        train_autoencoder.main()
    with pytest.raises(UserError, match=r"mask_autoencoder\.code: got 'morse'"):
        train_mask_autoencoder.main()
    assert not (tmp_path / "data").exists()
