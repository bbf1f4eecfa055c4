"""Autoencoders from a folder, and from a hub that is not there."""

import time

import pytest
import torch
from diffusers import UNet2DModel

from pipeline.autoencoding.pretrained import load_pretrained
from pipeline.io.errors import UserError
from pipeline.models.autoencoder import AutoencoderNetworkSettings, build_autoencoder


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub that refuses connections, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def network(kind="vq"):
    settings = AutoencoderNetworkSettings(
        kind=kind, width=4, multipliers=[1, 2], blocks=1, latent_channels=2, groups=2,
        codebook_size=4,
    )  # fmt: skip
    return build_autoencoder(settings, 3).network


@pytest.mark.parametrize("kind", ["vq", "kl"])
def test_local_folder(tmp_path, kind):
    before = network(kind)
    before.save_pretrained(tmp_path)
    after = load_pretrained(str(tmp_path), 3, "autoencoder").network
    assert type(after) is type(before)
    for name, tensor in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], tensor)


def test_other_channels_are_refused(tmp_path):
    network().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"mask_autoencoder\.pretrained: .* takes 3 .* expected 2"):
        load_pretrained(str(tmp_path), 2, "mask_autoencoder")


def test_folder_of_another_model_is_refused(tmp_path):
    model = UNet2DModel(
        block_out_channels=(4, 4), norm_num_groups=2, layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is a UNet2DModel, expected one of VQModel, AutoencoderKL"):
        load_pretrained(str(tmp_path), 3, "autoencoder")


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"autoencoder\.pretrained: .* cannot be loaded"):
        load_pretrained(str(tmp_path), 3, "autoencoder")


@pytest.mark.parametrize("name", ["CompVis/ldm-celebahq-256/vqvae", "some/where"])
def test_no_hub_is_said_at_once_with_the_ways_out(no_hub, monkeypatch, name):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)  # between a library's tries
    with pytest.raises(UserError, match=r"cannot be reached.*path of a folder.*null"):
        load_pretrained(name, 3, "autoencoder")
    assert sum(waits) < 10


@pytest.mark.parametrize("name", ["nowhere", "/not/there", "./models/vq"])
def test_what_can_be_no_repository_never_asks_the_hub(name):
    with pytest.raises(UserError, match="expected a folder that exists"):
        load_pretrained(name, 3, "autoencoder")
