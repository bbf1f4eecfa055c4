import numpy as np
import pytest

from pipeline.copy_paste.backgrounds import cover, find_backgrounds, paint_over
from pipeline.copy_paste.settings import CopyPasteSettings
from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError

SIDE = 32
OBJECT, BARE = (255, 0, 0), (0, 120, 60)


def _pairs(with_objects=False, free=2, total=5):
    """Photos of one colour with an object of another; the last `free` have none."""
    masks = np.zeros((total, SIDE, SIDE), np.uint8)
    masks[: total - free, 12:20, 10:22] = 1
    images = np.zeros((total, SIDE, SIDE, 3), np.uint8)
    images[:] = BARE
    images[masks > 0] = OBJECT
    objects = None
    if with_objects:
        objects = np.zeros(masks.shape, bool)
        objects[:, 6:26, 6:26] = True
        images[~objects] = 0
    return Pairs([f"p{i}" for i in range(total)], images, masks, objects)


def _find(pairs, backgrounds="auto", minimal_free=0.5):
    settings = CopyPasteSettings(backgrounds=backgrounds, minimal_free=minimal_free)
    return find_backgrounds(pairs, list(range(len(pairs))), settings)


@pytest.mark.parametrize("backgrounds", ["photos", "auto"])
def test_photos_without_objects_are_taken_as_they_are(backgrounds):
    pairs = _pairs()
    found = _find(pairs, backgrounds)
    assert found.photos == [3, 4]
    assert found.make(np.random.default_rng(0), 3) is not pairs.images
    assert (found.make(np.random.default_rng(0), 3) == pairs.images[3]).all()


@pytest.mark.parametrize("with_objects", [False, True])
def test_areas_show_no_object_and_keep_the_rest(with_objects):
    pairs = _pairs(with_objects, free=0)
    found = _find(pairs)
    assert found.photos == list(range(5))
    for seed in range(5):
        made = found.make(np.random.default_rng(seed), 0)
        hidden = pairs.masks[0] > 0
        assert (made[hidden] == BARE).all()
        assert (made[~hidden] == pairs.images[0][~hidden]).all()
    assert (pairs.images[0][pairs.masks[0] > 0] == OBJECT).all()  # the training photo stays


def test_areas_can_be_had_where_there_are_free_photos_too():
    assert _find(_pairs(), "areas").photos == [0, 1, 2, 3, 4]


def test_no_free_photo_is_an_error_that_names_the_remedy():
    with pytest.raises(UserError, match=r"backgrounds: got photos, but each of 5 .* set it to are"):
        _find(_pairs(free=0), "photos")


@pytest.mark.parametrize(("with_objects", "best"), [(False, "0.91"), (True, "0.76")])
def test_too_little_free_is_an_error_that_names_the_largest_share(with_objects, best):
    with pytest.raises(UserError, match=rf"minimal_free: got 0.95, expected at most {best}"):
        _find(_pairs(with_objects, free=0), minimal_free=0.95)


def test_a_free_photo_without_a_silhouette_is_no_background():
    pairs = _pairs(with_objects=True)
    pairs.objects[4] = False
    assert _find(pairs).photos == [3]


def test_a_cover_takes_its_pixels_from_what_is_not_hidden():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (24, 40, 3), np.uint8)
    photo[..., 2] = 0
    hidden = np.zeros((24, 40), bool)
    hidden[:, 8:32] = rng.random((24, 24)) < 0.7  # too large for any place: it must be halved
    photo[hidden, 2] = 255
    covered = cover(rng, photo, hidden)
    assert (covered[..., 2] == 0).all()
    assert (covered[:, :6] == photo[:, :6]).all() and (covered[:, 34:] == photo[:, 34:]).all()


def test_a_narrow_margin_is_covered_and_painted_over_too():
    photo = np.full((SIDE, SIDE, 3), 50, np.uint8)
    photo[9:17, 9:17] = 200  # one pixel beyond the label on each side
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[10:16, 10:16] = True
    assert (cover(np.random.default_rng(0), photo, hidden) == 50).all()
    assert (paint_over(photo, hidden, np.ones((SIDE, SIDE), bool)) == 50).all()


def test_a_cover_leaves_a_photo_whose_margins_hide_all_some_pixels():
    photo = np.zeros((9, 9, 3), np.uint8)
    hidden = np.ones((9, 9), bool)
    hidden[4, 4] = False
    photo[4, 4] = 77
    assert (cover(np.random.default_rng(0), photo, hidden) == 77).all()


def test_a_painted_pixel_lies_between_the_colours_of_its_rim():
    y, x = np.mgrid[:SIDE, :SIDE]
    photo = np.repeat((4 * x + 2 * y)[..., None], 3, axis=2).astype(np.uint8)
    true = photo.copy()
    hidden = (y - 16) ** 2 + (x - 16) ** 2 < 25
    photo[hidden] = 255
    silhouette = (y - 16) ** 2 + (x - 16) ** 2 < 169
    painted = paint_over(photo, hidden, silhouette)
    assert (painted[~silhouette] == photo[~silhouette]).all()
    difference = np.abs(painted.astype(int) - true)[hidden]
    assert difference.max() <= 20 and difference.mean() < 7  # of a slope over 60 grey levels


def test_nothing_bare_to_paint_with_leaves_the_photo():
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    full = np.ones((16, 16), bool)
    assert (paint_over(photo, full, full) == photo).all()
