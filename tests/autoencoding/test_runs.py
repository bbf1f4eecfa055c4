"""From a prepared set to an autoencoder's folder."""

import json
import shutil

import pytest
import torch

from pipeline.autoencoding.masks import train_mask_autoencoder
from pipeline.autoencoding.photos import train_photo_autoencoder
from pipeline.autoencoding.settings import AutoencoderSettings, MaskAutoencoderSettings
from pipeline.io.errors import UserError
from pipeline.io.images import read_image, sha256_of
from pipeline.io.params import parse
from pipeline.models.autoencoder import load_codec, load_mask_codec
from tests.autoencoding.squares import write_prepared

NETWORK = {
    "kind": "kl",
    "width": 8,
    "multipliers": [1, 2],
    "blocks": 1,
    "latent_channels": 3,
    "codebook_size": 16,
    "groups": 4,
}
TRAINING = {
    "max_steps": 4,
    "batch_size": 2,
    "threads": 1,
    "evaluate_every_steps": 2,
    "preview": {"every_steps": 4, "count": 2},
}
PHOTO_LOSS = {"perceptual_weight": 0.1, "adversarial": {"width": 8, "layers": 1}}
FILES = {
    "config.json", "diffusion_pytorch_model.safetensors", "latents.json", "settings.json",
    "training.json", "curve.csv", "curve.png", "samples/step_000004.png",
}  # fmt: skip


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_prepared(tmp_path / "prepared")
    return tmp_path / "prepared"


def photo_settings(**changes):
    content = {"network": NETWORK, "loss": PHOTO_LOSS, "training": TRAINING} | changes
    return parse(AutoencoderSettings, "autoencoder", content)


def mask_settings(**changes):
    content = {"network": NETWORK, "loss": {}, "rgb_loss": PHOTO_LOSS, "training": TRAINING}
    return parse(MaskAutoencoderSettings, "mask_autoencoder", content | changes)


def hashes(folder):
    return {
        p.relative_to(folder).as_posix(): sha256_of(p) for p in folder.rglob("*") if p.is_file()
    }


@pytest.mark.parametrize("kind", ["kl", "vq"])
def test_photo_autoencoder(prepared, tmp_path, kind):
    settings = photo_settings(network=NETWORK | {"kind": kind})
    train_photo_autoencoder(prepared, tmp_path / "one", settings, seed=3)
    train_photo_autoencoder(prepared, tmp_path / "again", settings, seed=3)  # from the store
    shutil.rmtree(tmp_path / ".checkpoints")
    train_photo_autoencoder(prepared, tmp_path / "two", settings, seed=3)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two") == hashes(tmp_path / "again")
    assert set(hashes(tmp_path / "one")) == FILES
    training = json.loads((tmp_path / "one" / "training.json").read_text())
    assert training["steps"] == 4
    assert training["latent_shape"] == [3, 8, 8]
    assert training["errors"]["val"]["psnr"] > 5
    assert 0 < training["errors"]["train"]["psnr_defects"] < 60
    codec = load_codec(tmp_path / "one")
    assert codec.encode(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 8, 8)
    assert read_image(tmp_path / "one" / "samples/step_000004.png").shape[0] == 2 * 98


@pytest.mark.parametrize("code", ["one_hot", "bits", "rgb"])
@pytest.mark.parametrize("with_object", [True, False])
def test_mask_autoencoder(prepared, tmp_path, code, with_object):
    out = tmp_path / "out"
    train_mask_autoencoder(prepared, out, mask_settings(code=code), with_object, seed=3)
    assert set(hashes(out)) == FILES
    errors = json.loads((out / "training.json").read_text())["errors"]["val"]
    assert set(errors["iou"]) == ({"mould", "object"} if with_object else {"mould"})
    assert errors["small_regions"]["count"] == 0  # 4 of 256 pixels are not small
    codec = load_mask_codec(out)
    assert codec.code.total_labels == (3 if with_object else 2)
    assert "discriminator" in (out / "curve.csv").read_text().splitlines()[0] or code != "rgb"


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_pretrained_as_it_is(prepared, tmp_path, unshuffle):
    first = photo_settings(network=NETWORK | {"unshuffle": unshuffle})
    train_photo_autoencoder(prepared, tmp_path / "first", first, seed=3)
    as_it_is = photo_settings(
        pretrained=str(tmp_path / "first"), training=TRAINING | {"max_steps": 0}
    )
    train_photo_autoencoder(prepared, tmp_path / "second", as_it_is, seed=9)
    x = torch.rand(2, 3, 16, 16)
    first, second = load_codec(tmp_path / "first"), load_codec(tmp_path / "second")
    assert torch.equal(first.encode(x), second.encode(x))
    assert not (tmp_path / "second" / "curve.csv").exists()
    assert json.loads((tmp_path / "second" / "training.json").read_text())["steps"] == 0


def test_pretrained_is_trained_on(prepared, tmp_path):
    train_photo_autoencoder(prepared, tmp_path / "first", photo_settings(), seed=3)
    still = TRAINING | {"max_steps": 1, "learning_rate": 1e-9}
    further = photo_settings(pretrained=str(tmp_path / "first"), training=still)
    train_photo_autoencoder(prepared, tmp_path / "second", further, seed=3)
    first, second = load_codec(tmp_path / "first"), load_codec(tmp_path / "second")
    for one, other in zip(
        first.autoencoder.parameters(), second.autoencoder.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_size_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_prepared(tmp_path / "prepared", size=18)
    settings = photo_settings(network=NETWORK | {"multipliers": [1, 1, 1]})
    with pytest.raises(UserError, match=r"image\.height: got 18, expected a multiple of 4"):
        train_photo_autoencoder(tmp_path / "prepared", tmp_path / "out", settings, seed=0)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".checkpoints").exists()


def test_silhouettes_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_prepared(tmp_path / "prepared", with_object=False)
    with pytest.raises(UserError, match=r"condition\.object: got true.*dataset\.object\.source"):
        train_mask_autoencoder(tmp_path / "prepared", tmp_path / "out", mask_settings(), True, 0)


def test_set_without_validation_pairs(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_prepared(tmp_path / "prepared", val=0)
    train_mask_autoencoder(tmp_path / "prepared", tmp_path / "out", mask_settings(), True, 0)
    errors = json.loads((tmp_path / "out" / "training.json").read_text())["errors"]
    assert set(errors) == {"train"}


def test_new_network_without_training_is_refused():
    with pytest.raises(UserError, match=r"autoencoder\.training: .*max_steps from 1"):
        photo_settings(training=TRAINING | {"max_steps": 0})
