"""Judges that remember their photos, and judges that cannot."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pipeline.data.pairs import Pairs
from pipeline.segmentation.judges import score_by_strangers
from pipeline.segmentation.pair_scores import score_pairs

SIZE = 6


def photos(total: int) -> Pairs:
    """Noise with a defect whose place cannot be seen, only remembered."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(total, SIZE, SIZE, 3)).astype(np.uint8)
    masks = np.zeros((total, SIZE, SIZE), np.uint8)
    for mask in masks:
        top, left = rng.integers(0, SIZE - 2, size=2)
        mask[top : top + 2, left : left + 2] = 1
    return Pairs([f"photo{index}" for index in range(total)], images, masks, None)


class Memory(nn.Module):
    """Gives a known photo the mask it was trained with, any other the blue it sees."""

    def __init__(self, train: Pairs) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(()))
        self.known = {
            image.tobytes(): mask for image, mask in zip(train.images, train.masks, strict=True)
        }

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = ((images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        masks = [self.known.get(image.tobytes(), image[..., 2] == 255) for image in pixels]
        labels = torch.from_numpy(np.stack(masks).astype(np.int64))
        return nn.functional.one_hot(labels, 2).permute(0, 3, 1, 2).float()


def synthetic(real: Pairs) -> Pairs:
    """Copies of the photos, and one new photo whose defect shows, all but a pixel."""
    image = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    image[0, :2, :2, 2] = 255
    image[0, 0, 0, 2] = 0
    mask = np.zeros((1, SIZE, SIZE), np.uint8)
    mask[0, :2, :2] = 1
    ids = [f"copy{index}" for index in range(len(real))] + ["new"]
    images, masks = np.concatenate([real.images, image]), np.concatenate([real.masks, mask])
    return Pairs(ids, images, masks, None)


def test_a_memory_prefers_copies_unless_they_are_out_of_its_fold():
    real = photos(4)
    pairs, folds = synthetic(real), np.array([0, 1, 0, 1])

    fooled = score_pairs(Memory(real), pairs, 2).set_index("id")["defect_iou"]
    assert fooled.drop("new").eq(1).all()
    assert fooled["new"] == pytest.approx(3 / 4)

    def train_without(fold: int) -> Memory:
        others = np.flatnonzero(folds != fold)
        return Memory(Pairs([], real.images[others], real.masks[others], None))

    own = [*folds.tolist(), 0]
    scores = score_by_strangers(train_without, 2, own, pairs, 2)
    assert scores["id"].tolist() == pairs.ids
    assert scores["fold"].tolist() == own
    sober = scores.set_index("id")["defect_iou"]
    assert sober["new"] == pytest.approx(3 / 4)
    assert (sober.drop("new") < 0.2).all()


class Constant(nn.Module):
    """The same class everywhere."""

    def __init__(self, label: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([0.0, 2.0 * label - 1.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        n, _, height, width = images.shape
        return self.bias[None, :, None, None].expand(n, 2, height, width)


def test_a_mask_of_no_photo_gets_the_mean_of_all_judges():
    """Judge 0 sees defects nowhere, judge 1 everywhere; half of the mask is defect."""
    pairs = photos(3)
    pairs.masks[:] = 0
    pairs.masks[:2, :3] = 1
    scores = score_by_strangers(Constant, 2, [1, None, None], pairs, 2).set_index("id")
    # judge 0: background 1/2, defect 0; judge 1: background 0, defect 1/2
    assert scores["defect_iou"].tolist()[:2] == pytest.approx([1 / 2, 1 / 4])
    assert scores["miou"].tolist()[:2] == pytest.approx([1 / 4, 1 / 4])
    # nothing to find: judge 0 has no defect IoU, judge 1 has 0
    assert scores["defect_iou"].tolist()[2] == 0
    assert scores["fold"].isna().tolist() == [False, True, True]


def test_judges_nobody_asks_for_are_not_trained():
    trained = []

    def train_without(fold: int) -> Constant:
        trained.append(fold)
        return Constant(0)

    score_by_strangers(train_without, 5, [3, 1, 3], photos(3), 2)
    assert trained == [1, 3]


def test_order_of_the_pairs_is_kept():
    pairs = photos(3)
    shuffled = Pairs(["z", "a", "m"], pairs.images, pairs.masks, None)
    scores = score_by_strangers(Constant, 2, [1, 0, None], shuffled, 2)
    assert scores["id"].tolist() == ["z", "a", "m"]
    assert isinstance(scores["fold"].dtype, pd.Int64Dtype)
