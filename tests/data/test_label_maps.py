"""Masks and silhouettes as one map, and back."""

import numpy as np
import pytest

from pipeline.data.label_maps import join_labels, label_colours, split_labels, total_labels

MASKS = np.array([[[0, 1, 2], [0, 0, 2]]], np.uint8)
OBJECTS = np.array([[[True, True, True], [False, True, True]]])


def test_defect_then_object_then_outside():
    labels = join_labels(MASKS, OBJECTS, 3)
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[[3, 1, 2], [0, 3, 2]]]


def test_splitting_undoes_joining():
    masks, objects = split_labels(join_labels(MASKS, OBJECTS, 3), 3, with_object=True)
    assert masks.dtype == np.uint8 and objects.dtype == np.bool_
    np.testing.assert_array_equal(masks, MASKS)
    np.testing.assert_array_equal(objects, OBJECTS)


def test_without_silhouettes_the_map_is_the_mask():
    np.testing.assert_array_equal(join_labels(MASKS, None, 3), MASKS)
    masks, objects = split_labels(MASKS, 3, with_object=False)
    np.testing.assert_array_equal(masks, MASKS)
    assert objects is None


def test_defect_beside_the_object_widens_it():
    masks, objects = split_labels(join_labels(MASKS, np.zeros_like(OBJECTS), 3), 3, True)
    np.testing.assert_array_equal(masks, MASKS)
    np.testing.assert_array_equal(objects, MASKS > 0)


def test_single_maps_are_joined_like_batches():
    np.testing.assert_array_equal(
        join_labels(MASKS[0], OBJECTS[0], 3), join_labels(MASKS, OBJECTS, 3)[0]
    )


def test_class_that_would_be_taken_for_the_object_is_refused():
    with pytest.raises(AssertionError):
        join_labels(MASKS, OBJECTS, 2)


@pytest.mark.parametrize("with_object", [True, False])
def test_a_colour_for_each_label(with_object):
    colours = label_colours([(0, 0, 0), (255, 0, 0)], with_object)
    assert len(set(colours)) == len(colours) == total_labels(2, with_object)
    assert colours[:2] == [(0, 0, 0), (255, 0, 0)]
