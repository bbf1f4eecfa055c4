"""The SDM network against its definition, the paper's parameter count and its own promises."""

import pytest
import torch
from torch.nn import functional

from pipeline.io.errors import UserError
from pipeline.models.conditioning import condition_channels, encode_condition, null_condition
from pipeline.models.spade import SpadeNorm, SpadeResnetBlock, group_count
from pipeline.models.spade_unet import NetworkSettings, SpadeUNet, build_network

TINY = NetworkSettings(
    width=8,
    multipliers=[1, 2],
    blocks=1,
    attention=[],
    head_channels=8,
    spade_channels=4,
    groups=4,
)


def tiny(image_size=(16, 16), output_groups=1, **changes):
    torch.manual_seed(0)
    settings = TINY.model_copy(update=changes)
    return build_network(settings, 3, output_groups, image_size)


def parameters(modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def inputs(batch=2, size=(16, 16)):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 3, *size, generator=generator)
    masks = torch.randint(0, 2, (batch, *size), generator=generator)
    condition = encode_condition(masks, masks > 0, total_classes=2)
    return x, torch.arange(batch) * 400 + 3, condition


def randomise(network):
    """Undo the zero initialisation, which would hide what the blocks do."""
    torch.manual_seed(2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)


def test_paper_configuration_has_652_million_parameters_of_which_99_in_spade():
    # without the instance-edge channel, as for the thesis's binary sets; with it (3 channels) both
    # figures round to the same
    with torch.device("meta"):
        network = build_network(NetworkSettings(), 2, 2, (256, 256))
    assert parameters([network]) == 652_026_118
    assert parameters([m for m in network.modules() if isinstance(m, SpadeNorm)]) == 99_298_048


def test_paper_configuration_has_the_encoder_of_guided_diffusion():
    from diffusers import UNet2DModel

    with torch.device("meta"):
        network = build_network(NetworkSettings(), 2, 2, (256, 256))
        reference = UNet2DModel(
            in_channels=3,
            out_channels=6,
            block_out_channels=(256, 256, 512, 512, 1024, 1024),
            down_block_types=("ResnetDownsampleBlock2D",) * 3 + ("AttnDownBlock2D",) * 3,
            up_block_types=("AttnUpBlock2D",) * 3 + ("ResnetUpsampleBlock2D",) * 3,
            downsample_type="resnet",
            upsample_type="resnet",
            resnet_time_scale_shift="scale_shift",
            attention_head_dim=64,
            attn_norm_num_groups=32,
        )
    encoder = [network.conv_in, network.encoder, network.time_embedding]
    theirs = [reference.conv_in, reference.down_blocks, reference.time_embedding]
    assert parameters(encoder) == parameters(theirs)


def test_spade_equals_its_definition():
    torch.manual_seed(0)
    spade = SpadeNorm(channels=8, condition_channels=3, hidden=5, groups=4)
    h, m = torch.randn(2, 8, 6, 6), torch.rand(2, 3, 12, 12)
    groups = h.reshape(2, 4, 2 * 36)
    normal = (groups - groups.mean(2, keepdim=True)) / (
        groups.var(2, unbiased=False, keepdim=True) + 1e-5
    ).sqrt()
    small = m[:, :, ::2, ::2]  # nearest at half size takes the upper left of each 2×2
    hidden = functional.conv2d(small, spade.shared.weight, spade.shared.bias, padding=1).clamp(0)
    gamma = functional.conv2d(hidden, spade.gamma.weight, spade.gamma.bias, padding=1)
    beta = functional.conv2d(hidden, spade.beta.weight, spade.beta.bias, padding=1)
    expected = normal.reshape(2, 8, 6, 6) * (1 + gamma) + beta
    torch.testing.assert_close(spade(h, m), expected, atol=1e-5, rtol=1e-5)
    assert not list(spade.norm.parameters())


def test_spade_block_without_modulation_is_the_block_of_diffusers():
    from diffusers.models.resnet import ResnetBlock2D

    torch.manual_seed(0)
    ours = SpadeResnetBlock(8, 12, 16, 3, hidden=5, groups=4, dropout=0.0, up=True)
    theirs = ResnetBlock2D(
        in_channels=8,
        out_channels=12,
        temb_channels=16,
        groups=4,
        eps=1e-5,
        time_embedding_norm="scale_shift",
        up=True,
    )
    theirs.load_state_dict(ours.state_dict(), strict=False)  # norms keep weight 1 and bias 0
    for norm in (ours.norm1, ours.norm2):
        for conv in (norm.gamma, norm.beta):
            torch.nn.init.zeros_(conv.weight)
            torch.nn.init.zeros_(conv.bias)
    h, time = torch.randn(2, 8, 4, 4), torch.randn(2, 16)
    expected = theirs(h, time)
    assert expected.shape == (2, 12, 8, 8)
    torch.testing.assert_close(ours(h, time, torch.rand(2, 3, 8, 8)), expected)


def test_only_middle_and_decoder_see_the_mask():
    network = tiny()
    spade = {name.split(".")[0] for name, m in network.named_modules() if isinstance(m, SpadeNorm)}
    assert spade == {"middle_in", "middle_out", "decoder"}
    blocks = [m for m in network.modules() if isinstance(m, SpadeResnetBlock)]
    assert len(blocks) == 2 + 2 * 2 + 1  # middle, (blocks + 1) a level, one up block
    assert all(isinstance(b.norm1, SpadeNorm) and isinstance(b.norm2, SpadeNorm) for b in blocks)
    assert type(network.norm_out) is torch.nn.GroupNorm


def test_starts_at_zero_except_gamma_and_beta():
    network = tiny(attention=[16])
    assert not network(*inputs()).any()
    blocks = [m for m in network.modules() if hasattr(m, "conv2")]
    assert not any(b.conv2.weight.any() or b.conv2.bias.any() for b in blocks)
    assert not network.middle_attention.to_out[0].weight.any()
    assert all(m.gamma.weight.any() for m in network.modules() if isinstance(m, SpadeNorm))


@pytest.mark.parametrize("unshuffle", [1, 2])
@pytest.mark.parametrize("size", [(16, 16), (24, 40)])
def test_output_shapes_and_dependence_on_each_input(size, unshuffle):
    network = tiny(size, output_groups=2, unshuffle=unshuffle).eval()
    randomise(network)
    x, t, condition = inputs(size=size)
    with torch.no_grad():
        output = network(x, t, condition)
        assert output.shape == (2, 6, *size)
        assert not torch.equal(output, network(x, t + 1, condition))
        assert not torch.equal(output, network(x, t, null_condition(condition)))
        torch.testing.assert_close(output[1:], network(x[1:], t[1:], condition[1:]))


def test_no_pixel_of_the_mask_is_lost_to_unshuffling():
    network = tiny(unshuffle=2).eval()
    randomise(network)
    x, t, condition = inputs(batch=1)
    condition.zero_()
    with torch.no_grad():
        plain = network(x, t, condition)
        for row, column in [(4, 4), (4, 5), (5, 4), (5, 5)]:
            marked = condition.clone()
            marked[0, 1, row, column] = 1
            assert not torch.equal(plain, network(x, t, marked)), (row, column)


def test_refuses_sizes_that_the_stride_does_not_divide():
    x, t, condition = inputs(size=(16, 18))
    with pytest.raises(UserError, match=r"got 16×18, expected both divisible by 4 .*take 16×16"):
        tiny(unshuffle=2)(x, t, condition)
    with pytest.raises(UserError, match=r"got 30×32, .* divisible by 4"):
        tiny((30, 32), unshuffle=2)


def test_refuses_a_condition_of_another_shape():
    x, t, condition = inputs()
    with pytest.raises(ValueError, match=r"got shape \(2, 2, 16, 16\), expected \(2, 3, 16, 16\)"):
        tiny()(x, t, condition[:, :2])


def test_refuses_attention_at_a_resolution_that_no_level_has():
    with pytest.raises(UserError, match=r"got \[12\].*feature maps are \[16, 8\] px"):
        tiny(attention=[8, 12])
    assert list(tiny(attention=[8]).config.attention_levels) == [1]


def test_group_count_adapts_to_narrow_and_odd_widths():
    assert [group_count(32, c) for c in (256, 64, 48, 24, 20)] == [32, 32, 16, 8, 4]


def test_saves_and_loads_with_its_configuration(tmp_path):
    network = tiny(attention=[8], unshuffle=2).eval()
    randomise(network)
    network.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }
    loaded = SpadeUNet.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(*inputs()), network(*inputs()))


def test_gradient_checkpointing_changes_memory_only():
    network = tiny(attention=[8], dropout=0.3)
    randomise(network)
    gradients = []
    for enable in (False, True):
        if enable:
            network.enable_gradient_checkpointing()
        network.zero_grad()
        torch.manual_seed(3)
        network(*inputs()).square().sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_condition_is_one_hot_with_background_and_silhouette():
    masks = torch.tensor([[[0, 2], [1, 0]]])
    objects = torch.tensor([[[True, True], [False, True]]])
    expected = torch.tensor([[[1, 0], [0, 1]], [[0, 0], [1, 0]], [[0, 1], [0, 0]]]).float()
    assert torch.equal(encode_condition(masks, None, 3)[0], expected)
    with_object = encode_condition(masks, objects, 3)
    assert with_object.shape[1] == condition_channels(3, True) == 4
    assert torch.equal(with_object[0, 3], torch.tensor([[1.0, 1], [0, 1]]))
    assert not null_condition(with_object).any()


def test_condition_refuses_an_unknown_class():
    with pytest.raises(ValueError, match=r"got class indices 0…3, expected 0…2"):
        encode_condition(torch.tensor([[[0, 3]]]), None, 3)


def test_many_images_keep_their_memory_layout():
    block = SpadeResnetBlock(4, 4, 8, 2, 4, 2, 0.0, up=True)
    features = torch.randn(64, 4, 2, 2).contiguous(memory_format=torch.channels_last)
    upsampled = block.upsample(features)
    assert upsampled.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(upsampled, features.repeat_interleave(2, 2).repeat_interleave(2, 3))
