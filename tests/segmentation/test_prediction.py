"""Predictions in batches, pixel counts and the table made of them."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from pipeline.data.pairs import Pairs
from pipeline.evaluation.overlap import stack_counts
from pipeline.io.manifests import ClassInfo
from pipeline.segmentation import prediction
from pipeline.segmentation.prediction import (
    count_pixels,
    counts_table,
    draw_examples,
    predict,
    to_input,
)

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "mould", (9, 200, 30))]


class RedMeansDefect(nn.Module):
    """Class 1 where the red channel is above its middle; batch statistics would change it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        return torch.stack([torch.zeros_like(images[:, 0]), images[:, 0] * self.scale], dim=1)


def test_input_range_and_order():
    image = np.zeros((1, 2, 3, 3), np.uint8)
    image[0, 1, 2] = [255, 0, 51]
    pixels = to_input(image, "cpu")
    assert pixels.shape == (1, 3, 2, 3)
    assert torch.allclose(pixels[0, :, 1, 2], torch.tensor([1.0, -1.0, -0.6]))


def test_predict_goes_through_all_batches(monkeypatch):
    monkeypatch.setattr(prediction, "BATCH_SIZE", 2)
    images = np.zeros((5, 4, 4, 3), np.uint8)
    for index in range(5):
        images[index, index % 4, :, 0] = 255
    labels = predict(RedMeansDefect().train(), images)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, images[..., 0] // 255)


def test_counts_by_hand():
    predicted = np.array([[[0, 1], [1, 2]]], np.uint8)
    truth = np.array([[[0, 1], [0, 1]]], np.uint8)
    expected = [[1, 0, 1, 2], [1, 1, 1, 1], [0, 1, 0, 3]]  # tp fp fn tn of classes 0, 1, 2
    assert count_pixels(predicted, truth, total_classes=3).tolist() == [expected]


def test_table_and_back():
    counts = np.arange(16).reshape(2, 2, 4)
    pairs = pd.DataFrame({"id": ["a", "b"], "group": ["1", None]})
    table = counts_table(counts, pairs, CLASSES, architecture="fpn", mix="real_all", seed=1)
    assert table.columns.tolist() == [
        "architecture", "mix", "seed", "id", "group", "class_index", "class",
        "tp", "fp", "fn", "tn",
    ]  # fmt: skip
    assert table[["id", "class"]].values.tolist()[1:3] == [["a", "mould"], ["b", "background"]]
    assert np.array_equal(stack_counts(table), counts)


def test_examples_show_photo_truth_and_prediction():
    images = np.full((3, 4, 5, 3), 7, np.uint8)
    masks = np.zeros((3, 4, 5), np.uint8)
    masks[2, 1, 1] = 1
    pairs = Pairs(["a", "b", "c"], images, masks, None)
    picture = draw_examples(pairs, [np.zeros_like(masks)], CLASSES, count=2, tile_px=10)
    # 2 photos of 5×4 and a white line each, three rows, twice as large
    assert picture.shape == (3 * 5 * 2, 2 * 6 * 2, 3)
    assert picture[0, 0].tolist() == [7, 7, 7]
    assert picture[(5 + 1) * 2, (6 + 1) * 2].tolist() == [9, 200, 30]  # the truth of the last
    assert picture[(10 + 1) * 2, (6 + 1) * 2].tolist() == [0, 0, 0]
