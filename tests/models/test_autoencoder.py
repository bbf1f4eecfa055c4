"""Autoencoders and codecs: sizes, statistics, quantisation, and folders that load again."""

import json

import pytest
import torch
from torch import nn

from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.models.autoencoder import (
    AutoencoderNetworkSettings,
    Codec,
    MaskCodec,
    build_autoencoder,
    load_codec,
    load_mask_codec,
    with_statistics,
    write_codec,
)
from pipeline.models.label_codes import label_code


def small(kind="kl", **changes):
    content = {
        "kind": kind,
        "width": 8,
        "multipliers": [1, 2],
        "blocks": 1,
        "latent_channels": 2,
        "codebook_size": 7,
        "groups": 4,
    }
    return AutoencoderNetworkSettings.model_validate(content | changes)


def network(kind="kl", channels=3, **changes):
    torch.manual_seed(0)
    return build_autoencoder(small(kind, **changes), channels).eval()


def codec(kind="kl", **changes):
    return Codec(network(kind, **changes), torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.1]))


def inputs(total=3, channels=3, height=8, width=12):
    return torch.rand(total, channels, height, width, generator=torch.Generator().manual_seed(1))


def test_defaults_are_the_vq_f4_of_ldm():
    with torch.device("meta"):
        reference = build_autoencoder(AutoencoderNetworkSettings(), 3)
    total = sum(parameter.numel() for parameter in reference.parameters())
    assert round(total / 1e6, 1) == 55.3
    assert reference.network.quantize.embedding.weight.shape == (8192, 3)
    latents = reference.latents(torch.empty(1, 3, 256, 256, device="meta"))
    assert latents.shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    ("kind", "multipliers", "unshuffle", "factor"),
    [("kl", [1, 2], 1, 2), ("vq", [1] * 3, 1, 4), ("kl", [1], 2, 2), ("vq", [1, 1], 2, 4)],
)
def test_shapes(kind, multipliers, unshuffle, factor):
    ours = codec(kind, multipliers=multipliers, unshuffle=unshuffle)
    assert small(kind, multipliers=multipliers, unshuffle=unshuffle).factor == factor
    z = ours.encode(inputs())
    assert (ours.factor, ours.latent_channels) == (factor, 2)
    assert z.shape == (3, *ours.latent_shape(8, 12)) == (3, 2, 8 // factor, 12 // factor)
    assert z.dtype == torch.float32 and not z.requires_grad
    assert ours.decode(z).shape == (3, 3, 8, 12)


@pytest.mark.parametrize("kind", ["kl", "vq"])
def test_measured_latents_have_mean_0_and_deviation_1(kind):
    net, x = network(kind), inputs(16)
    with torch.no_grad():
        points = net.latents(x).transpose(0, 1).flatten(1)  # c×points
    z = with_statistics(net, points.mean(dim=1), points.std(dim=1, correction=0)).encode(x)
    torch.testing.assert_close(z.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(dim=(0, 2, 3), correction=0), torch.ones(2))


def test_constant_channel_is_not_divided_by_zero():
    ours = with_statistics(network(), torch.zeros(2), torch.tensor([0.0, 3.0]))
    assert ours.std.tolist() == [1.0, 3.0]
    assert ours.encode(inputs()).isfinite().all()


def test_kl_latents_are_the_mean_and_decode_undoes_the_normalisation():
    ours, x = codec("kl"), inputs()
    with torch.no_grad():
        mean = ours.network.encode(x).latent_dist.mean
        decoded = ours.network.decode(mean).sample
    expected = (mean - torch.tensor([0.5, -1]).view(1, 2, 1, 1)) / torch.tensor([2, 0.1]).view(
        1, 2, 1, 1
    )
    torch.testing.assert_close(ours.encode(x), expected)
    torch.testing.assert_close(ours.decode(ours.encode(x)), decoded, rtol=1e-4, atol=1e-5)


def test_vq_encodes_before_and_decodes_after_quantisation():
    ours = codec("vq")
    nn.init.normal_(ours.network.quantize.embedding.weight)
    z = torch.randn(2, 2, 4, 6, generator=torch.Generator().manual_seed(2))
    latents = z * ours.std.view(1, 2, 1, 1) + ours.mean.view(1, 2, 1, 1)
    book = ours.network.quantize.embedding.weight
    quantised = torch.empty_like(latents)
    for n in range(2):
        for row in range(4):
            for column in range(6):
                distances = (book - latents[n, :, row, column]).square().sum(dim=1)
                quantised[n, :, row, column] = book[distances.argmin()]
    with torch.no_grad():
        expected = ours.network.decoder(ours.network.post_quant_conv(quantised))
    torch.testing.assert_close(ours.decode(z), expected, rtol=1e-4, atol=1e-5)
    encoded = ours.autoencoder.latents(inputs())
    nearest = torch.cdist(encoded.permute(0, 2, 3, 1).reshape(-1, 2), book).min(dim=1).values
    assert nearest.max() > 1e-3


@pytest.mark.parametrize(("height", "width", "name"), [(10, 8, "height"), (8, 6, "width")])
def test_size_that_the_factor_does_not_divide_is_refused_by_name(height, width, name):
    ours = codec(multipliers=[1, 1, 1])
    side = height if name == "height" else width
    with pytest.raises(UserError, match=rf"image\.{name}: got {side}, expected a multiple of 4"):
        ours.latent_shape(height, width)
    with pytest.raises(UserError, match=rf"image\.{name}"):
        ours.encode(torch.zeros(1, 3, height, width))


def test_groups_are_as_many_as_divide_all_levels():
    assert network(width=12, multipliers=[1, 1.5], groups=8).network.config.norm_num_groups == 2
    assert network(width=16, multipliers=[1, 2], groups=8).network.config.norm_num_groups == 8


@pytest.mark.parametrize("kind", ["kl", "vq"])
@pytest.mark.parametrize("unshuffle", [1, 2])
def test_photo_codec_loads_as_it_was_written(tmp_path, kind, unshuffle):
    before, x = codec(kind, unshuffle=unshuffle), inputs()
    write_codec(tmp_path, before)
    after = load_codec(tmp_path)
    assert torch.equal(after.encode(x), before.encode(x))
    assert torch.equal(after.decode(before.encode(x)), before.decode(before.encode(x)))
    loaded = type(before.network).from_pretrained(tmp_path)
    assert list(loaded.config.block_out_channels) == [8, 16]


@pytest.mark.parametrize("name", ["one_hot", "bits", "rgb"])
def test_mask_codec_loads_as_it_was_written(tmp_path, name):
    code = label_code(name, 3, [(0, 0, 0), (255, 0, 0), (9, 99, 200)])
    net = network("kl", code.channels)
    before = MaskCodec(net, torch.zeros(2), torch.ones(2), code)
    write_codec(tmp_path, before, name)
    after = load_mask_codec(tmp_path)
    labels = torch.randint(0, 3, (2, 8, 8))
    assert torch.equal(after.encode_labels(labels), before.encode_labels(labels))
    decoded = after.decode_labels(after.encode_labels(labels))
    assert decoded.shape == (2, 8, 8) and decoded.dtype == torch.uint8 and decoded.max() < 3
    description = json.loads((tmp_path / "latents.json").read_text())
    assert (description["code"], description["labels"], description["factor"]) == (name, 3, 2)
    with pytest.raises(UserError, match="an autoencoder of masks, expected one of photos"):
        load_codec(tmp_path)


def test_photo_codec_is_no_mask_codec(tmp_path):
    write_codec(tmp_path, codec())
    with pytest.raises(UserError, match="of photos, expected one of masks"):
        load_mask_codec(tmp_path)


def test_folder_without_autoencoder_says_why(tmp_path):
    with pytest.raises(UserError, match=r"latents\.json: not found; run train-autoencoder first"):
        load_codec(tmp_path)
    write_json(tmp_path / "latents.json", {"kind": "kl"})
    with pytest.raises(UserError, match="not the statistics of latents"):
        load_codec(tmp_path)
    write_json(tmp_path / "unused.json", {"used": False, "reason": "image_dm.kind is sdm"})
    with pytest.raises(UserError, match=r"holds no autoencoder, as image_dm\.kind is sdm"):
        load_codec(tmp_path)


def test_missing_weights_are_named(tmp_path):
    write_codec(tmp_path, codec())
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match="the autoencoder cannot be loaded"):
        load_codec(tmp_path)
