import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import figures


def _mixes():
    runs = pd.DataFrame(
        {"mix": ["real", "real", "<b>&x"], "seed": [0, 1, 0], "defect_iou": [0.5, 0.6, 0.7]}
    )
    kinds = {"real": "real", "<b>&x": "real and synthetic"}
    return figures.mix_chart(runs, kinds, {"real": "real", "<b>&x": "real"})


def _training():
    curve = pd.DataFrame({"step": [1, 2, 3], "loss": [9.0, 2.0, 0.1], "val_loss": [np.nan, 2, 1]})
    return figures.training_chart(curve)


def _validation():
    steps = {"seed": [0, 0, 1, 1], "step": [1, 2, 1, 2], "val_defect_iou": [0.1, 0.2, 0.3, 0.4]}
    return figures.validation_chart(pd.DataFrame({"mix": "real", **steps}))


@pytest.mark.parametrize("draw", [_mixes, _training, _validation])
def test_drawings_are_svg_in_the_page_s_colours_and_the_same_each_time(draw):
    svg = draw()
    assert ET.fromstring(svg).tag.endswith("svg")
    assert svg == draw()
    assert figures.INK not in svg
    assert "var(--ink)" in svg
    assert "viewBox" in svg
    assert not re.search(r"<svg[^>]* (width|height)=", svg)
    assert "<style" not in svg  # it would hold for the whole page


def test_text_from_data_is_escaped():
    svg = _mixes()
    assert "&lt;b&gt;&amp;x" in svg
    assert "<b>" not in svg


def test_marks_of_the_seeds_lie_on_both_sides_of_their_mean():
    marks = re.findall(r'<use [^>]*x="([\d.]+)"[^>]*var\(--blue\)', _mixes())
    low, mean, high = sorted(map(float, marks))
    assert mean == pytest.approx((low + high) / 2, abs=0.01)
    assert high - low > 10
