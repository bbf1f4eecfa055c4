"""The bottleneck: own queries, the other branch's keys and values, both from before."""

import torch
from torch import nn

from pipeline.models.cross_attention import Bottleneck, CrossAttention

CHANNELS, HEADS = 8, 2


def randomised(module):
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


def attended(attention, own, other):
    """own + W·softmax(Q(own)·K(other)ᵀ/√d)·V(other), written out."""
    queries = attention.group_norm(own).flatten(2).transpose(1, 2)  # N×hw×C
    context = attention.norm_cross(other).flatten(2).transpose(1, 2)
    heads = [
        layer(x).unflatten(2, (HEADS, CHANNELS // HEADS)).transpose(1, 2)  # N×heads×hw×d
        for layer, x in (
            (attention.to_q, queries),
            (attention.to_k, context),
            (attention.to_v, context),
        )
    ]
    q, k, v = heads
    weights = torch.softmax(q @ k.transpose(2, 3) / (CHANNELS // HEADS) ** 0.5, dim=3)
    mixed = (weights @ v).transpose(1, 2).flatten(2)  # N×hw×C
    return own + attention.to_out[0](mixed).transpose(1, 2).unflatten(2, own.shape[2:])


def test_image_attends_to_mask_and_mask_to_image_from_features_before():
    cross = randomised(CrossAttention(CHANNELS, HEADS, 4))
    image, mask = torch.randn(2, CHANNELS, 3, 5), torch.randn(2, CHANNELS, 3, 5)
    new_image, new_mask = cross([image, mask])
    expected_image = attended(cross.branches[0], image, mask)
    expected_mask = attended(cross.branches[1], mask, image)
    torch.testing.assert_close(new_image, expected_image, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(new_mask, expected_mask, atol=1e-5, rtol=1e-4)


def test_the_mask_reaches_the_image_through_cross_attention_only():
    bottleneck = randomised(Bottleneck(CHANNELS, 2, HEADS, 4))
    image, mask = torch.randn(1, CHANNELS, 4, 4), torch.randn(1, CHANNELS, 4, 4)
    other = torch.randn(1, CHANNELS, 4, 4)
    assert not torch.allclose(bottleneck([image, mask])[0], bottleneck([image, other])[0])
    assert not torch.allclose(bottleneck([image, mask])[1], bottleneck([other, mask])[1])
    for attention in bottleneck.cross.branches:
        nn.init.zeros_(attention.to_out[0].weight)
    assert torch.equal(bottleneck([image, mask])[0], bottleneck([image, other])[0])
    assert torch.equal(bottleneck([image, mask])[1], bottleneck([other, mask])[1])


def test_weights_are_each_branches_own():
    bottleneck = Bottleneck(CHANNELS, 2, HEADS, 4)
    counts = [sum(p.numel() for p in lists.parameters()) for lists in bottleneck.selves]
    distinct = {id(p) for p in bottleneck.selves.parameters()}
    assert len(distinct) == 2 * len(list(bottleneck.selves[0].parameters()))
    assert counts[0] == counts[1]
    assert not list(Bottleneck(CHANNELS, 1, HEADS, 4).cross.parameters())
