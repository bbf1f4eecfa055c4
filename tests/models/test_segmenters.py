"""Segmenters: sizes, normalisation, seeds, saving."""

import pytest
import safetensors.torch
import segmentation_models_pytorch as smp
import torch

from pipeline.io.errors import UserError
from pipeline.io.params import parse
from pipeline.models.segmenters import (
    ARCHITECTURES,
    NetworkSettings,
    Segmenter,
    build_segmenter,
)

SMALL = "tu-tf_mobilenetv3_small_minimal_100"
PLAIN = NetworkSettings(encoder=SMALL, encoder_weights=None)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("total_classes", [2, 4])
def test_any_size_and_number_of_classes(architecture, total_classes):
    network = build_segmenter(architecture, PLAIN, total_classes, seed=0).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 50, 70)).shape == (1, total_classes, 50, 70)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_trains_on_a_batch_of_two(architecture):
    network = build_segmenter(architecture, PLAIN, 2, seed=0).train()
    network(torch.zeros(2, 3, 32, 32)).mean().backward()


def test_input_is_normalised_as_the_encoder_expects():
    """A photo in [−1, 1] reaches the network as (photo in [0, 1] − mean) / std."""
    mean, std = [0.1, 0.5, 0.7], [0.2, 0.4, 0.9]
    network = Segmenter("unet", SMALL, 2, mean, std).eval()
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    normalised = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.inference_mode():
        expected = network.network(normalised)
        assert torch.allclose(network(pixels * 2 - 1), expected, atol=1e-4)


def test_padding_is_at_the_right_and_at_the_bottom_only():
    network = build_segmenter("unet", PLAIN, 2, seed=0).eval()
    images = torch.rand(1, 3, 40, 64)
    padded = torch.cat([images, images[:, :, -1:].expand(-1, -1, 24, -1)], dim=2)
    with torch.inference_mode():
        assert torch.allclose(network(images), network(padded)[:, :, :40], atol=1e-5)


def test_input_scale_enlarges_what_the_network_sees():
    network = Segmenter("fpn", SMALL, 2, [0.5] * 3, [0.5] * 3, input_scale=2).eval()
    seen = []
    network.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 48, 32)).shape == (1, 2, 48, 32)
    assert seen == [(1, 3, 96, 64)]


def test_seed_decides_the_weights():
    first, again, other = (
        build_segmenter("fpn", PLAIN, 2, seed).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert any(not torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_segmenter("unet", PLAIN, 2, seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_saved_and_loaded(tmp_path):
    network = build_segmenter("deeplabv3plus", PLAIN, 3, seed=0).eval()
    network.save(tmp_path / "seed_0")
    assert sorted(path.name for path in (tmp_path / "seed_0").iterdir()) == [
        "config.json", "model.safetensors",
    ]  # fmt: skip
    loaded = Segmenter.from_pretrained(tmp_path / "seed_0").eval()
    images = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded(images), network(images))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"encoder": "resnet35"}, "network.encoder: got 'resnet35', expected an encoder"),
        ({"encoder": "tu-nothing"}, "network.encoder: got 'tu-nothing', expected an encoder"),
        (
            {"encoder": "resnet34", "encoder_weights": "efficientnet-lite"},
            "network.encoder_weights: got 'efficientnet-lite', expected imagenet, a file or null",
        ),
        ({"input_scale": 0}, "network.input_scale: got 0"),
    ],
)
def test_wrong_settings_are_named(entry, message):
    with pytest.raises(UserError, match=message):
        parse(NetworkSettings, "network", entry)


def test_weights_are_saved_without_pickle(tmp_path):
    network = build_segmenter("unet", PLAIN, 2, seed=0)
    network.save(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert set(tensors) == set(network.state_dict())
    assert isinstance(network.network, smp.Unet)
