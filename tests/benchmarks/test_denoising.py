"""The error by noise level: 0 where a network knows the image, 1 where it does nothing."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.denoising import errors, regions
from pipeline.data.pairs import Pairs
from pipeline.diffusion.examples import Clean
from pipeline.diffusion.schedules import DiffusionSettings

SIZE = 16


def two_pairs(with_objects=True):
    images = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    masks = np.zeros((2, SIZE, SIZE), np.uint8)
    masks[:, 4:8, 4:8] = 1
    objects = np.zeros((2, SIZE, SIZE), bool)
    objects[:, 2:12, 2:12] = True
    return Pairs(["a", "b"], images, masks, objects if with_objects else None)


def clean(size=SIZE):
    x0 = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    defects = torch.zeros(2, size, size, dtype=torch.bool)
    defects[:, 4:8, 4:8] = True
    return Clean(x0, torch.zeros(2, 1, size, size), defects)


class KnowsDefects(nn.Module):
    """Gives the clean image on the defects, and what it was given elsewhere."""

    def __init__(self, examples):
        super().__init__()
        self.examples = examples

    def forward(self, x, timesteps, condition):
        return torch.where(self.examples.defects[:, None], self.examples.x0, x)


def test_errors_are_told_by_region_in_units_of_the_noise():
    examples = clean()
    settings = DiffusionSettings(prediction="x0", loss="mse", schedule="cosine")
    found = regions(two_pairs(), examples)
    assert list(found) == ["background", "object", "defects"]
    assert torch.equal(torch.stack(list(found.values())).sum(0), torch.ones(2, SIZE, SIZE))
    network = KnowsDefects(examples)
    table = errors(network, settings, examples, found, (0.02, 0.1))
    assert table["noise level"].tolist() == pytest.approx([0.02, 0.1], rel=0.1)
    assert table["timestep"].is_monotonic_increasing
    assert (table["defects"] == 0).all()
    # x_t itself, whose signal is a little weaker than the image
    np.testing.assert_allclose(table[["background", "object"]], 1, atol=0.1)


def test_latents_and_sets_without_silhouettes_have_defects_and_the_rest():
    for pairs, examples in ((two_pairs(False), clean()), (two_pairs(), clean(8))):
        found = regions(pairs, examples)
        assert list(found) == ["defects", "the rest"]
        assert torch.equal(found["the rest"], ~examples.defects)


def test_a_region_that_is_nowhere_has_no_error():
    examples = clean()
    settings = DiffusionSettings(prediction="x0", loss="mse")
    empty = {"defects": torch.zeros(2, SIZE, SIZE, dtype=torch.bool)}
    table = errors(KnowsDefects(examples), settings, examples, empty, (0.1,))
    assert list(table) == ["timestep", "noise level"]
