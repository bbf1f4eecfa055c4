import numpy as np

from pipeline.data.silhouettes import threshold_silhouette


def _disc(size, centre, radius):
    rows, columns = np.mgrid[:size, :size]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def test_black_mould_inside_and_at_the_rim_leaves_the_lemon_whole():
    lemon = _disc(64, (32, 32), 20)
    inside, rim = _disc(64, (28, 30), 5), _disc(64, (32, 50), 5) & lemon
    image = np.zeros((64, 64, 3), np.uint8)
    image[lemon & ~inside & ~rim] = (200, 180, 10)
    labels = rim.astype(np.uint8)
    silhouette = threshold_silhouette(image, labels, 16)
    assert silhouette.dtype == bool
    assert (silhouette == lemon).all()


def test_specks_beside_the_object_are_left_out():
    image = np.zeros((32, 32, 3), np.uint8)
    image[8:24, 8:24, 2] = 17
    image[1, 1] = 255
    silhouette = threshold_silhouette(image, np.zeros((32, 32), np.uint8), 16)
    assert silhouette.sum() == 256
    assert not silhouette[1, 1]


def test_a_black_image_has_no_silhouette():
    image = np.full((8, 8, 3), 16, np.uint8)
    assert not threshold_silhouette(image, np.zeros((8, 8), np.uint8), 16).any()
