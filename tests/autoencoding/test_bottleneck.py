"""What passes the bottleneck, and the gradients that come back, against the papers' algebra."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pipeline.autoencoding.bottleneck import nearest_codewords, pass_through, spread_codebook
from pipeline.models.autoencoder import AutoencoderNetworkSettings, build_autoencoder


def network(kind):
    torch.manual_seed(0)
    settings = AutoencoderNetworkSettings(
        kind=kind, width=4, multipliers=[1, 2], blocks=1, latent_channels=2, codebook_size=5,
        groups=2,
    )  # fmt: skip
    return build_autoencoder(settings, 3)


def inputs():
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def noise():
    return torch.Generator().manual_seed(2)


def test_kl_penalty_is_the_divergence_per_value():
    net, x = network("kl"), inputs()
    posterior = net.encode(x).latent_dist
    exact = kl_divergence(Normal(posterior.mean, posterior.std), Normal(0, 1)).sum() / x.numel()
    torch.testing.assert_close(pass_through(net, x, noise()).penalty, exact)


def test_kl_decodes_mean_plus_noise():
    net, x = network("kl"), inputs()
    posterior = net.encode(x).latent_dist
    sample = posterior.mean + posterior.std * torch.randn(posterior.mean.shape, generator=noise())
    torch.testing.assert_close(pass_through(net, x, noise()).reconstruction, net.decode(sample))


def test_vq_penalty_pulls_codewords_to_latents_and_latents_a_quarter_as_much_to_codewords():
    net, x = network("vq"), inputs()
    latents = net.latents(x)
    words = net.network.quantize.embedding(nearest_codewords(net, latents)).permute(0, 3, 1, 2)
    square = (latents - words).square().mean()
    passage = pass_through(net, x, noise())
    torch.testing.assert_close(passage.penalty, 1.25 * square)

    book = net.network.quantize.embedding.weight
    (of_book,) = torch.autograd.grad(passage.penalty, book, retain_graph=True)
    (expected,) = torch.autograd.grad(square, book, retain_graph=True)
    torch.testing.assert_close(of_book, expected)  # weight 1
    encoder = net.network.quant_conv.weight
    (of_encoder,) = torch.autograd.grad(passage.penalty, encoder)
    (expected,) = torch.autograd.grad(0.25 * square, encoder)
    torch.testing.assert_close(of_encoder, expected)


def test_vq_gradient_goes_straight_through():
    net, x = network("vq"), inputs()
    spread_codebook(net, net.latents(x), noise())
    latents = net.latents(x).detach()
    words = (
        net.network.quantize.embedding(nearest_codewords(net, latents)).permute(0, 3, 1, 2).detach()
    )
    words.requires_grad_()
    decoded = net.decode(words, is_quantised=True)
    (at_words,) = torch.autograd.grad(decoded.square().sum(), words)

    passage = pass_through(net, x, noise())
    torch.testing.assert_close(passage.reconstruction, decoded)
    loss = passage.reconstruction.square().sum()
    (of_encoder,) = torch.autograd.grad(loss, net.network.quant_conv.bias)
    torch.testing.assert_close(of_encoder, at_words.sum(dim=(0, 2, 3)), rtol=1e-4, atol=1e-4)


def test_nearest_codewords_by_brute_force():
    net = network("vq")
    torch.nn.init.normal_(net.network.quantize.embedding.weight)
    latents = torch.randn(2, 2, 3, 4)
    found = nearest_codewords(net, latents)
    for n in range(2):
        for row in range(3):
            for column in range(4):
                point = latents[n, :, row, column]
                distances = (net.network.quantize.embedding.weight - point).square().sum(dim=1)
                assert found[n, row, column] == distances.argmin()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_spread_codebook_is_used(precision):
    net, x = network("vq"), torch.rand(8, 3, 16, 16) * 2 - 1
    with torch.no_grad(), torch.autocast("cpu", precision, enabled=precision != torch.float32):
        latents = net.latents(x).float()
    before = nearest_codewords(net, latents).unique().numel()
    spread_codebook(net, latents, noise())
    after = nearest_codewords(net, latents).unique().numel()
    assert after >= 4 and after >= before
