import numpy as np

from pipeline.reporting import page


def test_figures_have_true_minus_signs_and_a_dash_for_nothing():
    assert page.figure(0.81249) == "0.812"
    assert page.figure(np.nan) == "–"
    assert page.signed(0.0123) == "+0.012"
    assert page.signed(-0.0123) == "−0.012"
    assert page.signed(np.nan) == "–"


def test_colour():
    assert page.hex_colour((255, 0, 16)) == "#ff0010"
