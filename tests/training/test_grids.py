"""Grids: every picture in its place, small ones enlarged."""

import numpy as np

from pipeline.training.grids import GAP, LABEL_WIDTH, spread, tile


def test_spread_is_even():
    assert spread(10, 2) == [2, 7]
    assert spread(3, 5) == [0, 1, 2]


def test_pictures_are_where_they_belong():
    rows = [(name, np.full((3, 48, 48, 3), 10 * i, np.uint8)) for i, name in enumerate("ab", 1)]
    rows[1][1][2] = 77
    grid = tile(rows)
    assert grid.shape == (2 * (96 + GAP), LABEL_WIDTH + 3 * (96 + GAP), 3)
    third = LABEL_WIDTH + 2 * (96 + GAP)
    assert (grid[:96, third : third + 96] == 10).all()
    assert (grid[96 + GAP : 2 * 96 + GAP, third : third + 96] == 77).all()
