"""Alignment counts pairs with defects only."""

import numpy as np
import pandas as pd
import pytest

from pipeline.generation_quality.alignment import NO_JUDGES, mean_agreement


def test_masks_without_defect_do_not_count():
    scores = pd.DataFrame(
        {"defect_share": [0.1, 0.0, 0.0, 0.3], "defect_iou": [0.5, 0.0, np.nan, 0.9]}
    )
    found = mean_agreement(scores)
    assert (found.value, found.deviation, found.n) == (pytest.approx(0.7), pytest.approx(0.2), 2)


def test_no_figure_gives_the_reason():
    assert mean_agreement(None).note == NO_JUDGES
    empty = pd.DataFrame({"defect_share": [0.0], "defect_iou": [np.nan]})
    assert mean_agreement(empty).value is None
    assert mean_agreement(empty).note == "no mask shows a defect"
