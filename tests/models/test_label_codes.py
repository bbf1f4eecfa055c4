"""Codes of label maps against codewords written out by hand and brute-force distances."""

import itertools

import pytest
import torch

from pipeline.io.errors import UserError
from pipeline.models.label_codes import CODES, label_code

COLOURS = [(0, 0, 0), (255, 0, 0), (0, 200, 0), (128, 128, 128), (40, 80, 250)]


def all_codes(total=5):
    return [label_code(name, total, COLOURS[:total]) for name in CODES]


def test_codewords_by_hand():
    assert label_code("one_hot", 3).codebook.tolist() == [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    assert label_code("bits", 5).codebook.tolist() == [
        [-1, -1, -1], [1, -1, -1], [-1, 1, -1], [1, 1, -1], [-1, -1, 1],
    ]  # fmt: skip
    rgb = label_code("rgb", 3, COLOURS[:3]).codebook
    torch.testing.assert_close(rgb[1], torch.tensor([1.0, -1, -1]))
    torch.testing.assert_close(rgb[2], torch.tensor([-1, 200 / 127.5 - 1, -1]))


@pytest.mark.parametrize(("total", "channels"), [(2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)])
def test_bits_are_as_few_as_possible(total, channels):
    assert label_code("bits", total).channels == channels
    assert label_code("bits", total).total_labels == total


def test_encode_puts_the_codeword_of_each_pixel():
    labels = torch.randint(0, 5, (2, 3, 4), dtype=torch.uint8)
    for code in all_codes():
        x = code.encode(labels)
        assert x.shape == (2, code.channels, 3, 4) and x.dtype == torch.float32
        for n, row, column in itertools.product(range(2), range(3), range(4)):
            assert torch.equal(x[n, :, row, column], code.codebook[int(labels[n, row, column])])


def test_decode_finds_the_nearest_codeword():
    x = torch.randn(2, 3, 7, 7, generator=torch.Generator().manual_seed(0)) * 1.5
    for code in (label_code("bits", 5), label_code("rgb", 5, COLOURS)):
        pixels = x.permute(0, 2, 3, 1).reshape(-1, 3)
        nearest = torch.cdist(pixels, code.codebook).argmin(dim=1).view(2, 7, 7)
        decoded = code.decode(x)
        assert decoded.dtype == torch.uint8
        assert torch.equal(decoded.long(), nearest)


def test_unused_bits_go_to_the_nearest_valid_code():
    code = label_code("bits", 5)  # 5 = 101 is free; 4 = 001 and 1 = 100 (lowest bit first) are not
    x = torch.tensor([0.2, -1.0, 1.0]).view(1, 3, 1, 1)
    assert code.decode(x).item() == 4
    x = torch.tensor([1.0, -1.0, 0.2]).view(1, 3, 1, 1)
    assert code.decode(x).item() == 1


def test_decoding_undoes_encoding():
    labels = torch.randint(0, 5, (2, 6, 6))
    for code in all_codes():
        assert torch.equal(code.decode(code.encode(labels)).long(), labels)


def test_scores_differ_as_the_squared_distances():
    x = torch.randn(1, 3, 2, 2)
    code = label_code("rgb", 5, COLOURS)
    distances = (x[:, None] - code.codebook.view(1, 5, 3, 1, 1)).square().sum(dim=2)  # 1×5×2×2
    scores = code.scores(x)
    torch.testing.assert_close(
        scores - scores[:, :1], -(distances - distances[:, :1]) / 2, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("label", [-1, 3])
def test_label_without_a_codeword_is_refused(label):
    with pytest.raises(ValueError, match=r"labels: got .* expected 0…2"):
        label_code("one_hot", 3).encode(torch.full((1, 2, 2), label))


def test_equal_colours_are_refused():
    with pytest.raises(UserError, match="a different one for each label"):
        label_code("rgb", 2, [(1, 2, 3), (1, 2, 3)])
