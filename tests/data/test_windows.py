import numpy as np
import pytest

from pipeline.data.fitting import ImageSettings, fit_mask
from pipeline.data.windows import Window, cut_windows, inside, plan_window


def _places(size, side):
    return [(w.row, w.column, w.box) for w in cut_windows(size, side)]


def test_no_side_gives_the_photo_itself():
    assert _places((40, 30), None) == [(0, 0, (0, 0, 40, 30))]


def test_four_windows_of_half_the_side():
    assert _places((1024, 1024), 512) == [
        (0, 0, (0, 0, 512, 512)),
        (0, 1, (512, 0, 512, 512)),
        (1, 0, (0, 512, 512, 512)),
        (1, 1, (512, 512, 512, 512)),
    ]


def test_the_last_window_ends_at_the_border():
    assert _places((50, 20), 20) == [
        (0, 0, (0, 0, 20, 20)),
        (0, 1, (20, 0, 20, 20)),
        (0, 2, (30, 0, 20, 20)),
    ]


def test_a_shorter_axis_has_one_window():
    assert _places((50, 12), 25) == [(0, 0, (0, 0, 25, 12)), (0, 1, (25, 0, 25, 12))]
    assert _places((10, 12), 25) == [(0, 0, (0, 0, 10, 12))]


@pytest.mark.parametrize("size", [(64, 64), (65, 90), (31, 200), (97, 33)])
def test_every_pixel_is_covered_by_as_few_windows_as_can_be(size):
    covered = np.zeros(size[::-1], int)
    windows = cut_windows(size, 32)
    for window in windows:
        x, y, width, height = window.box
        assert 0 <= x <= size[0] - width and 0 <= y <= size[1] - height
        covered[y : y + height, x : x + width] += 1
        assert inside(covered, window).shape == (height, width)
    assert covered.min() == 1
    assert len(windows) == np.prod([-(-side // 32) for side in size])


@pytest.mark.parametrize("fit", ["resize", "letterbox", "crop"])
@pytest.mark.parametrize("side", [24, 30])  # no new centre on the edge of an old pixel
def test_a_window_is_fitted_as_if_it_were_the_photo(fit, side):
    labels = np.random.default_rng(0).integers(0, 200, (48, 70), np.uint8)
    settings = ImageSettings(height=8, width=16, fit=fit)
    for window in cut_windows((70, 48), side):
        cut = inside(labels, window)
        alone = plan_window(Window(0, 0, (0, 0, *window.size), window.size), settings)
        assert (fit_mask(labels, plan_window(window, settings)) == fit_mask(cut, alone)).all()


def test_inside_of_a_mask_of_another_scale():
    window = Window(0, 1, (20, 0, 20, 10), (40, 20))
    mask = np.arange(200).reshape(10, 20)
    assert (inside(mask, window) == mask[:5, 10:]).all()
    # 3 columns for 40: the window's left half of the middle one still counts as inside
    assert inside(np.zeros((3, 3)), window).shape == (2, 2)
