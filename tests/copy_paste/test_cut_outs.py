import numpy as np
import pytest

from pipeline.copy_paste.cut_outs import choose_sources, cut_outs_of, draw_fake, find_cut_outs
from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo

CLASSES = [ClassInfo(i, name, (i, i, i)) for i, name in enumerate(("background", "ear", "leaf"))]


def _pairs(*masks, objects=None):
    masks = np.array(masks, np.uint8)
    images = np.zeros((*masks.shape, 3), np.uint8)
    return Pairs([f"p{i}" for i in range(len(masks))], images, masks, objects)


def _rng():
    return np.random.default_rng(0)


def test_corner_neighbours_are_one_region_and_classes_are_apart():
    mask = np.array(
        [
            [1, 0, 0, 0, 2],
            [0, 1, 0, 0, 2],
            [0, 0, 0, 1, 2],
            [0, 0, 0, 0, 0],
        ],
        np.uint8,
    )
    found = find_cut_outs(mask, 7, 1)
    assert [(c.label, c.top, c.left, c.shape.tolist()) for c in found] == [
        (1, 0, 0, [[True, False], [False, True]]),
        (1, 2, 3, [[True]]),
        (2, 0, 4, [[True], [True], [True]]),
    ]
    assert {c.photo for c in found} == {7}
    assert [c.label for c in find_cut_outs(mask, 7, 3)] == [2]


def test_a_box_holds_its_own_region_only():
    mask = np.zeros((5, 5), np.uint8)
    mask[0, :] = mask[:, 0] = 1  # an angle …
    mask[3, 3] = 1  # … and a point within its box
    large, small = sorted(find_cut_outs(mask, 0, 1), key=lambda c: -c.shape.sum())
    assert large.shape.sum() == 9 and not large.shape[3, 3]
    assert small.shape.tolist() == [[True]]


def test_nothing_to_cut_out_is_an_error_that_names_the_largest_region():
    mask = np.zeros((6, 6), np.uint8)
    mask[1:3, 1:3] = 1
    with pytest.raises(UserError, match=r"minimal_pixels: got 5, expected at most 4, .*ear, leaf"):
        cut_outs_of(_pairs(mask, 0 * mask), CLASSES, 5)
    with pytest.raises(
        UserError, match=r"image_dm\.kind: .* none of 1 training photos shows ear, leaf"
    ):
        cut_outs_of(_pairs(0 * mask), CLASSES, 1)


def test_all_photos_are_sources_or_a_few_that_show_every_class():
    mask = np.zeros((6, 6), np.uint8)
    mask[0, 0] = 1
    other = 2 * mask
    found = cut_outs_of(_pairs(*[mask] * 10, 0 * mask, other), CLASSES, 1)
    assert choose_sources(found, None, _rng()) == list(range(12))
    for seed in range(10):
        chosen = choose_sources(found, 2, np.random.default_rng(seed))
        assert 11 in chosen and len(chosen) == 2 and 10 not in chosen
    assert choose_sources(found, 50, _rng()) == [*range(10), 11]


def test_a_fake_covers_no_object_and_lies_on_the_silhouette():
    mask = np.zeros((12, 12), np.uint8)
    mask[:, 4:8] = 1
    silhouette = np.zeros((1, 12, 12), bool)
    silhouette[:, :, 6:] = True
    shape = np.array([[True, True], [False, True]])
    columns = set()
    for seed in range(200):
        fake = draw_fake(np.random.default_rng(seed), _pairs(mask), [0], shape)
        if fake is not None:
            assert fake.label == 0
            assert not mask[fake.box()][shape].any()
            columns.add(fake.left)
        fake = draw_fake(np.random.default_rng(seed), _pairs(mask, objects=silhouette), [0], shape)
        if fake is not None:
            assert fake.left >= 8

    assert columns == {0, 1, 2, 8, 9, 10}
    assert draw_fake(_rng(), _pairs(np.ones((12, 12))), [0], shape) is None
