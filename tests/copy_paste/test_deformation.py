import numpy as np
import pytest

from pipeline.copy_paste.deformation import deform
from pipeline.copy_paste.settings import CopyPasteSettings

NOTHING = {"horizontal_flip": 0.0, "vertical_flip": 0.0, "rotation": 0.0, "elastic": 0.0}


def _deform(colours, shape, seed=0, **changes):
    return deform(
        np.random.default_rng(seed), colours, shape, CopyPasteSettings(**NOTHING | changes)
    )


def _patch(height=9, width=13):
    """A disc-like shape whose colours say where a pixel was: red its row, green its column."""
    y, x = np.mgrid[:height, :width]
    colours = np.stack([10 * y, 10 * x, 0 * x], axis=-1).astype(np.uint8)
    shape = ((y - height // 2) / height) ** 2 + ((x - width // 2) / width) ** 2 < 0.2
    return colours, shape


def test_nothing_happens_without_probabilities():
    colours, shape = _patch()
    new, moved = _deform(colours, shape)
    assert (new == colours).all() and (moved == shape).all()


def test_flips_turn_colours_and_shape_together():
    colours, shape = _patch()
    shape[0, 0] = True
    for changes, part in (
        ({"horizontal_flip": 1.0}, np.s_[:, ::-1]),
        ({"vertical_flip": 1.0}, np.s_[::-1]),
    ):
        new, moved = _deform(colours, shape, **changes)
        assert (new == colours[part]).all() and (moved == shape[part]).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"rotation": 1.0, "rotation_degrees": 10.0},
        {"rotation": 1.0, "rotation_degrees": 170.0},
        {"elastic": 1.0, "elastic_shift": 0.1},
        {"rotation": 1.0, "elastic": 1.0, "horizontal_flip": 1.0},
    ],
)
def test_colours_and_shape_move_together(changes):
    colours, shape = _patch()
    for seed in range(20):
        new, moved = _deform(colours, shape, seed, **changes)
        assert moved.sum() == pytest.approx(shape.sum(), rel=0.25)
        # the colours of the moved shape's inside tell pixels of the original's inside
        y, x = np.floor(new[moved][:, :2] / 10 + 0.5).astype(int).T
        assert shape[y, x].mean() > 0.95
        # and all of the original is still there
        assert len({*zip(y.tolist(), x.tolist(), strict=True)}) > 0.7 * shape.sum()


class _Quarter:
    """Draws that ask for everything that has a probability, and for the largest angle."""

    def random(self, total):
        return np.zeros(total)

    def uniform(self, _low, _high, size=None):
        return 1.0 if size is None else np.zeros(size)


def test_a_right_angle_is_a_turn_of_the_array():
    colours, shape = _patch(9, 13)
    shape[:] = True
    shape[0, :5] = False
    settings = CopyPasteSettings(**NOTHING | {"rotation": 1.0, "rotation_degrees": 90.0})
    new, moved = deform(_Quarter(), colours, shape, settings)
    rows, columns = np.flatnonzero(moved.any(axis=1)), np.flatnonzero(moved.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    turns = [k for k in (1, 3) if (np.rot90(shape, k) == moved[box]).all()]
    assert len(turns) == 1
    assert (new[box][moved[box]] == np.rot90(colours, turns[0])[moved[box]]).all()


@pytest.mark.parametrize("size", [(9, 13), (8, 13), (9, 12), (8, 12)])
def test_a_turn_by_next_to_nothing_does_not_blur(size):
    colours, shape = _patch(*size)
    new, moved = _deform(colours, shape, rotation=1.0, rotation_degrees=1e-6)
    assert moved.sum() == shape.sum()
    assert (new[moved] == colours[shape]).all()


def test_nothing_of_the_surroundings_bleeds_in():
    colours, shape = _patch()
    colours[...] = (0, 0, 255)
    colours[shape] = (200, 100, 0)
    for seed in range(20):
        new, moved = _deform(colours, shape, seed, rotation=1.0, elastic=1.0, elastic_shift=0.2)
        assert (new[moved] == (200, 100, 0)).all()


def test_a_new_box_holds_the_whole_cut_out():
    shape = np.ones((6, 20), bool)
    colours = np.full((6, 20, 3), 9, np.uint8)
    for seed in range(20):
        _, moved = _deform(colours, shape, seed, rotation=1.0, rotation_degrees=45.0)
        assert moved.sum() == pytest.approx(120, rel=0.08)
