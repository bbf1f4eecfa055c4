"""Pairs at a fraction of their size."""

import numpy as np
import pytest
import torch

from pipeline.data.pairs import Pairs
from pipeline.data.reduction import reduce_labels, reduce_pairs, reduce_photos
from pipeline.io.errors import UserError


def pairs(height=8, width=6):
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (2, height, width), dtype=np.uint8)
    images = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    return Pairs(["a", "b"], images, masks, masks > 0)


def test_photos_are_resampled_as_torch_does_bilinearly():
    images = pairs().images
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    expected = torch.nn.functional.interpolate(tensor, scale_factor=0.5, mode="bilinear")
    got = torch.from_numpy(reduce_photos(images, 2)).permute(0, 3, 1, 2)
    assert torch.equal(got, expected.round().to(torch.uint8))


def test_labels_keep_their_classes():
    masks = pairs().masks
    assert np.array_equal(reduce_labels(masks, 2), masks[:, ::2, ::2])


def test_pairs_are_reduced_together_or_not_at_all():
    small = reduce_pairs(pairs(), 2)
    assert small.images.shape == (2, 4, 3, 3)
    assert small.masks.shape == small.objects.shape == (2, 4, 3)
    assert small.objects.dtype == bool
    whole = pairs()
    assert reduce_pairs(whole, 1) is whole
    with pytest.raises(UserError, match=r"image_dm\.reduction: got 2.*image\.width 7"):
        reduce_pairs(pairs(width=7), 2)
