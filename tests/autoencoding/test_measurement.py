"""Statistics and errors, with codecs whose mistakes are known."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from pipeline.autoencoding.examples import LabelExamples, PhotoExamples
from pipeline.autoencoding.measurement import (
    label_errors,
    measure_latents,
    photo_errors,
    small_region_ious,
)
from pipeline.data.augmentation import GeometricSettings
from pipeline.data.pairs import Pairs
from pipeline.models.autoencoder import AutoencoderNetworkSettings, build_autoencoder
from pipeline.models.label_codes import label_code
from tests.autoencoding.squares import COLOURS, square_pairs

CPU = torch.device("cpu")
STILL = GeometricSettings()


@dataclass
class Spoiling:
    """A codec that does one thing to what it decodes."""

    spoil: object

    def encode(self, x):
        return x

    def decode(self, z):
        return self.spoil(z.clone())


def test_measured_codec_normalises_the_training_set():
    torch.manual_seed(0)
    settings = AutoencoderNetworkSettings(
        kind="kl", width=4, multipliers=[1, 2], blocks=1, latent_channels=3, groups=2
    )
    examples = PhotoExamples(square_pairs(20), STILL, 0)
    codec = measure_latents(build_autoencoder(settings, 3), examples, CPU)
    z = codec.encode(examples.plain(list(range(20))).x)
    torch.testing.assert_close(z.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(dim=(0, 2, 3), correction=0), torch.ones(3))


def test_psnr_by_hand():
    examples = PhotoExamples(square_pairs(20), STILL, 0)

    def ten_levels_darker_where_red(x):
        red = (x[:, 0] > 0.7) & (x[:, 1] < -0.8)  # the defects: 4 of 64 pixels
        return torch.where(red[:, None], x + 10 / 127.5, x)

    errors = photo_errors(Spoiling(ten_levels_darker_where_red), examples, CPU)
    assert errors["psnr_defects"] == pytest.approx(20 * np.log10(255 / 10), abs=1e-3)
    assert errors["psnr"] == pytest.approx(10 * np.log10(255**2 / (100 * 4 / 64)), abs=1e-3)


def test_psnr_is_of_what_an_8_bit_file_holds():
    examples = PhotoExamples(square_pairs(4), STILL, 0)
    # below half a level, and beyond the range of black
    clean = photo_errors(Spoiling(lambda x: x + 0.3 / 127.5), examples, CPU)
    clipped = photo_errors(Spoiling(lambda x: torch.where(x == -1, x - 5, x)), examples, CPU)
    assert clean["psnr"] == clipped["psnr"] > 100


def test_psnr_without_defects_is_none():
    pairs = square_pairs(2)
    bare = Pairs(pairs.ids, pairs.images, np.zeros_like(pairs.masks), None)
    assert photo_errors(Spoiling(lambda x: x), PhotoExamples(bare, STILL, 0), CPU)[
        "psnr_defects"
    ] is None  # fmt: skip


def label_examples(with_object=True):
    pairs = square_pairs(6, size=32)
    objects = pairs.objects if with_object else None
    code = label_code("one_hot", 3 if with_object else 2)
    return LabelExamples(
        Pairs(pairs.ids, pairs.images, pairs.masks, objects), COLOURS, code, STILL, 0
    )


@pytest.mark.parametrize("with_object", [True, False])
def test_perfect_codec_has_iou_1(with_object):
    examples = label_examples(with_object)
    errors = label_errors(
        Spoiling(lambda x: x), examples.code, examples, ["background", "mould"], CPU
    )
    assert errors["iou"] == {"mould": 1.0} | ({"object": 1.0} if with_object else {})
    assert errors["small_regions"] == {"count": 6, "iou": 1.0, "lost": 0}


def test_lost_and_half_lost_defects():
    examples = label_examples()

    def forget(x):
        labels = examples.code.decode(x)
        first_only = labels == 1
        for n in range(1, len(labels)):
            rows = first_only[n].any(dim=1).nonzero()
            labels[n, rows[0, 0]][labels[n, rows[0, 0]] == 1] = 2  # the upper of both rows
        labels[0][labels[0] == 1] = 2
        return examples.code.encode(labels)

    errors = label_errors(Spoiling(forget), examples.code, examples, ["background", "mould"], CPU)
    # 6 defects of 4 pixels: one gone, of five the half is left
    assert errors["iou"] == {"mould": pytest.approx(10 / 24, abs=1e-5), "object": 1.0}
    assert errors["small_regions"] == {
        "count": 6, "iou": pytest.approx(5 * 0.5 / 6, abs=1e-5), "lost": 1,
    }  # fmt: skip


def test_small_regions_by_hand():
    truth, found = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    truth[2:4, 2:4] = truth[2:4, 10:12] = truth[20:30, 20:30] = True  # the last is not small
    found[2:4, 2:5] = True  # two pixels too many
    found[30:36, 0:5] = True  # far from everything
    assert small_region_ious(truth, found) == [pytest.approx(4 / 6), 0.0]


def test_neighbouring_region_does_not_count_as_a_mistake():
    truth = np.zeros((40, 40), bool)
    truth[2:4, 2:4] = truth[2:4, 5:7] = True
    assert small_region_ious(truth, truth) == [1.0, 1.0]


def test_diagonal_pixels_are_one_region():
    truth = np.eye(40, dtype=bool)[:, ::-1] & (np.arange(40) < 6)
    assert small_region_ious(truth, truth) == [1.0]
