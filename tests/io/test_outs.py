"""What another stage wrote and something else tore: told in one line."""

import errno
import json

import pandas as pd
import pytest
import safetensors.torch
import torch

from pipeline.data.mixes import read_mix
from pipeline.io.errors import UserError
from pipeline.io.outs import written_by
from pipeline.models.segmenters import NetworkSettings, build_segmenter
from pipeline.segmentation.finetuning import load_segmenter


def test_what_is_missing_names_the_stage(tmp_path):
    path = tmp_path / "a.json"
    with (
        pytest.raises(UserError, match=rf"{path}: not found; run `dvc repro train` first"),
        written_by("train", path),
    ):
        path.read_text()


@pytest.mark.parametrize("error", [ValueError("a\nb"), KeyError("x"), TypeError("y"), EOFError()])
def test_what_is_damaged_is_named_in_one_line(tmp_path, error):
    with pytest.raises(UserError) as caught, written_by("train", tmp_path):
        raise error
    told = str(caught.value)
    assert told.startswith(f"{tmp_path}: damaged, got {type(error).__name__}: ")
    assert told.endswith("`dvc repro --force --single-item train`") and "\n" not in told


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "", "x"), MemoryError(), UserError("subset: …")]
)
def test_what_is_no_damage_passes(tmp_path, error):
    with pytest.raises(type(error)) as caught, written_by("train", tmp_path):
        raise error
    assert caught.value is error


def torn(path):
    """Contents that a file may be left with, or that somebody may write."""
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"{}", b"\xff\xfe"):
        path.write_bytes(content)
        yield content
    path.write_bytes(whole)


def test_a_torn_segmenter_is_named(tmp_path):
    folder = tmp_path / "unet-real_all" / "seed_0"
    settings = NetworkSettings(encoder="tu-tf_mobilenetv3_small_minimal_100", encoder_weights=None)
    network = build_segmenter("unet", settings, 2, seed=0)
    network.save(folder)
    for name in ("config.json", "model.safetensors"):
        for _ in torn(folder / name):
            with pytest.raises(UserError, match=rf"{name}: damaged, .* train-segmenters@unet-real"):
                load_segmenter(folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    loaded = load_segmenter(folder).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())


def test_a_torn_mix_is_named(tmp_path):
    folder = tmp_path / "real_all"
    folder.mkdir()
    pd.DataFrame({"id": ["a"]}).to_parquet(folder / "manifest.parquet")
    summary = {"augmentation": None, "classes": [{"index": 0, "name": "b", "colour": [0, 0, 0]}]}
    (folder / "mix.json").write_text(json.dumps(summary))
    for name in ("mix.json", "manifest.parquet"):
        for _ in torn(folder / name):
            with pytest.raises(UserError, match=rf"{name}: damaged, .* compose-mixes"):
                read_mix(folder)
    assert read_mix(folder).name == "real_all"
