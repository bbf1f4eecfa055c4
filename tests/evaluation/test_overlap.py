"""IoU reductions against segmentation-models-pytorch and against cases worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.overlap import (
    METRICS,
    REDUCTIONS,
    defect_iou,
    pooled_scores,
    reduce_score,
    stack_counts,
)


def counts_of(predicted: np.ndarray, truth: np.ndarray, total_classes: int) -> np.ndarray:
    """N×C×4 by definition, pixel by pixel."""
    result = np.zeros((len(truth), total_classes, 4), np.int64)
    for image in range(len(truth)):
        for label in range(total_classes):
            said, is_so = predicted[image] == label, truth[image] == label
            result[image, label] = [
                (said & is_so).sum(),
                (said & ~is_so).sum(),
                (~said & is_so).sum(),
                (~said & ~is_so).sum(),
            ]
    return result


@pytest.fixture
def random_case() -> tuple[np.ndarray, np.ndarray]:
    """Predictions and truths of 3 classes; in image 0 class 2 occurs nowhere."""
    rng = np.random.default_rng(0)
    predicted, truth = rng.integers(0, 3, size=(2, 5, 12, 9))
    predicted[0], truth[0] = predicted[0] % 2, truth[0] % 2
    return predicted, truth


SMP_NAMES = {
    "iou": "iou_score",
    "dice": "f1_score",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "accuracy": "accuracy",
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("background", [True, False])
def test_equals_segmentation_models_pytorch(random_case, metric, reduction, background):
    torch = pytest.importorskip("torch")
    import segmentation_models_pytorch as smp

    predicted, truth = (torch.from_numpy(array) for array in random_case)
    stats = smp.metrics.get_stats(predicted, truth, mode="multiclass", num_classes=3)
    counts = np.stack([stat.numpy() for stat in stats], axis=2)
    assert np.array_equal(counts, counts_of(*random_case, total_classes=3))
    if not background:
        stats = [stat[:, 1:] for stat in stats]
    expected = getattr(smp.metrics, SMP_NAMES[metric])(*stats, reduction=reduction)
    ours = reduce_score(counts, metric, reduction, background)
    assert ours == pytest.approx(float(expected), abs=1e-6)


def test_prediction_of_background_alone():
    """1 % defect: macro-imagewise IoU (99/100 + 0) / 2 = 0.495, the defect's own IoU 0."""
    truth = np.zeros((4, 10, 10), int)
    truth[:, 0, 0] = 1
    counts = counts_of(np.zeros_like(truth), truth, total_classes=2)
    assert reduce_score(counts, "iou", "macro-imagewise") == pytest.approx(0.495)
    assert reduce_score(counts, "iou", "macro-imagewise", background=False) == 0
    assert defect_iou(counts) == 0
    assert reduce_score(counts, "accuracy", "macro") == pytest.approx(0.99)


def test_class_absent_from_an_image():
    """Imagewise it counts as 1 in that image; pooled over images it does not count at all."""
    truth = np.zeros((2, 2, 2), int)
    truth[0, 0, :] = 1
    predicted = np.zeros_like(truth)
    predicted[0, :, 0] = 1  # one of two defect pixels found, one false alarm: IoU 1/3
    counts = counts_of(predicted, truth, total_classes=2)
    only_defect = counts[:, [1]]
    assert reduce_score(only_defect, "iou", "macro-imagewise") == pytest.approx((1 / 3 + 1) / 2)
    assert reduce_score(only_defect, "iou", "macro") == pytest.approx(1 / 3)
    assert defect_iou(counts) == pytest.approx(1 / 3)


def test_class_absent_everywhere_is_left_out_of_the_defect_iou():
    truth = np.zeros((1, 2, 2), int)
    truth[0, 0, 0] = 1
    assert defect_iou(counts_of(truth, truth, total_classes=3)) == 1
    healthy = np.zeros((1, 2, 2), int)
    assert math.isnan(defect_iou(counts_of(healthy, healthy, total_classes=3)))
    assert math.isnan(pooled_scores(counts_of(healthy, healthy, 3), "iou")[1])


def test_precision_is_not_the_thesis_eq_7_3():
    """TP 1, FP 3, FN 1, TN 5: precision 1/4; eq. 7.3 gives 5/8, the specificity."""
    counts = np.array([[[1, 3, 1, 5]]])
    assert reduce_score(counts, "precision", "macro") == pytest.approx(1 / 4)
    assert reduce_score(counts, "specificity", "macro") == pytest.approx(5 / 8)
    assert reduce_score(counts, "recall", "macro") == pytest.approx(1 / 2)
    assert reduce_score(counts, "iou", "macro") == pytest.approx(1 / 5)
    assert reduce_score(counts, "dice", "macro") == pytest.approx(2 / 6)


def test_stack_counts_orders_and_refuses_gaps():
    frame = pd.DataFrame(
        {
            "id": ["b", "a", "b", "a"],
            "class_index": [1, 0, 0, 1],
            "tp": [4, 1, 3, 2],
            "fp": [0, 0, 0, 0],
            "fn": [5, 5, 5, 5],
            "tn": [9, 9, 9, 9],
        }
    )
    stacked = stack_counts(frame)
    assert stacked[:, :, 0].tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="expected one row"):
        stack_counts(frame.iloc[:3])
    with pytest.raises(ValueError, match="N×C×4"):
        reduce_score(stacked[0], "iou", "macro")
