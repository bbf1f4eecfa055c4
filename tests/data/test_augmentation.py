import numpy as np
import pytest
from scipy import ndimage

from pipeline.data.augmentation import AugmentationSettings, GeometricSettings, transform_pair
from pipeline.io.errors import UserError
from pipeline.io.params import parse

ANYTHING = GeometricSettings(
    horizontal_flip=0.5, vertical_flip=0.5, rotation_degrees=25, scale=[0.8, 1.25], shift=0.1
)


class Dictated:
    """Stands for a generator: flips never happen by chance, affine draws are as given."""

    def __init__(self, rotation=0.0, zoom=0.0, shift_x=0.0, shift_y=0.0):
        self.draws = np.array([rotation, zoom, shift_x, shift_y])

    def random(self, size):
        return np.full(size, 0.5)

    def uniform(self, low, high, size):
        return self.draws


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    mask = ndimage.zoom(rng.integers(0, 3, (8, 8)), 8, order=0).astype(np.uint8)  # 64×64
    image = np.stack([mask * 100, 255 - mask * 50, mask * 0 + 30], axis=2).astype(np.uint8)
    return image, mask, mask == 2


def test_defaults_change_nothing(pair):
    result = transform_pair(np.random.default_rng(0), *pair, GeometricSettings())
    for before, after in zip(pair, result, strict=True):
        assert np.array_equal(before, after)
        assert before.dtype == after.dtype


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 1), ("vertical_flip", 0)])
def test_flips(pair, name, axis):
    settings = GeometricSettings(**{name: 1.0})
    for before, after in zip(pair, transform_pair(Dictated(), *pair, settings), strict=True):
        assert np.array_equal(after, np.flip(before, axis))


def test_a_quarter_turn_is_exact(pair):
    settings = GeometricSettings(rotation_degrees=180)
    result = transform_pair(Dictated(rotation=0.5), *pair, settings)
    image, *labels = (np.rot90(array, -1) for array in pair)  # clockwise, y pointing down
    assert np.abs(result[0].astype(int) - image).max() <= 1  # Pillow cuts 99.9… to 99
    for expected, after in zip(labels, result[1:], strict=True):
        assert np.array_equal(after, expected)


@pytest.mark.parametrize("border", ["black", "reflect"])
def test_a_shift_by_whole_pixels_is_exact(pair, border):
    settings = GeometricSettings(shift=0.25, border=border)
    result = transform_pair(Dictated(shift_x=1.0, shift_y=-0.5), *pair, settings)
    for before, after in zip(pair, result, strict=True):
        mode = "constant" if border == "black" else "symmetric"
        padded = np.pad(before, [(0, 8), (16, 0), (0, 0)][: before.ndim], mode=mode)
        assert np.array_equal(after, padded[8:, :64])


def test_a_zoom_by_two_repeats_the_mask_pixels(pair):
    settings = GeometricSettings(scale=[0.5, 2.0])
    _, mask, _ = transform_pair(Dictated(zoom=1.0), *pair, settings)
    assert np.array_equal(mask, pair[1][16:48, 16:48].repeat(2, axis=0).repeat(2, axis=1))
    _, mask, _ = transform_pair(Dictated(zoom=0.0), *pair, settings)  # log-uniform: 1 in the middle
    assert np.array_equal(mask, pair[1])


def test_photos_are_resampled_bilinearly(pair):
    image = ndimage.gaussian_filter(pair[0].astype(float), (3, 3, 0))
    settings = GeometricSettings(rotation_degrees=30, scale=[0.8, 1.25], shift=0.1)
    rng = Dictated(rotation=0.5, zoom=-0.4, shift_x=0.3, shift_y=0.2)
    after, _, _ = transform_pair(rng, image.round().astype(np.uint8), *pair[1:], settings)
    angle, zoom = np.deg2rad(15), 0.8 * (1.25 / 0.8) ** 0.3
    # (y, x) of the output → (y, x) of the input, about the moved centre
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    centre = np.array([31.5, 31.5])
    offset = centre - matrix @ (centre + 64 * 0.1 * np.array([0.2, 0.3]))
    for channel in range(3):
        source = image[..., channel].round()
        expected = ndimage.affine_transform(source, matrix, offset, order=1, cval=-1)
        inside = ndimage.binary_erosion(expected >= 0, iterations=2)
        assert inside.mean() > 0.5
        difference = np.abs(after[..., channel].astype(float) - expected)[inside]
        assert difference.max() <= 1.0


def test_mask_and_silhouette_move_with_the_photo(pair):
    _, mask, _ = pair
    coded = np.stack([mask * 100] * 3, axis=2).astype(np.uint8)  # the photo shows the mask
    for seed in range(10):
        moved, labels, silhouette = transform_pair(
            np.random.default_rng(seed), coded, mask, mask == 2, ANYTHING
        )
        assert set(np.unique(labels)) <= {0, 1, 2}
        assert np.array_equal(silhouette, labels == 2)
        # away from borders between classes and from the frame's edge the photo is the mask
        flat = ndimage.maximum_filter(labels, 3) == ndimage.minimum_filter(labels, 3)
        assert np.abs(moved[..., 0][flat].astype(int) - labels[flat] * 100).max() <= 100
        agreement = np.abs(moved[..., 0][flat].astype(int) - labels[flat] * 100) <= 5
        assert agreement.mean() > 0.99


def test_equal_generators_give_equal_results_and_draws_do_not_depend_on_the_settings(pair):
    rngs = [np.random.default_rng(7) for _ in range(3)]
    results = [transform_pair(rng, *pair, ANYTHING) for rng in rngs[:2]]
    for first, second in zip(*results, strict=True):
        assert np.array_equal(first, second)
    transform_pair(rngs[2], *pair, GeometricSettings())
    assert rngs[0].random() == rngs[2].random()


def test_parts_that_are_absent_stay_absent(pair):
    image, mask, silhouette = transform_pair(
        np.random.default_rng(0), None, pair[1], None, ANYTHING
    )
    assert image is None
    assert silhouette is None
    with_all = transform_pair(np.random.default_rng(0), *pair, ANYTHING)
    assert np.array_equal(mask, with_all[1])


def test_photos_that_are_not_square(pair):
    wide = tuple(array[:40] for array in pair)
    result = transform_pair(np.random.default_rng(0), *wide, ANYTHING)
    assert [array.shape for array in result] == [(40, 64, 3), (40, 64), (40, 64)]


def test_results_can_be_written_to(pair):
    for settings in (GeometricSettings(), ANYTHING):
        for array in transform_pair(np.random.default_rng(0), *pair, settings):
            assert array.flags.writeable
            assert array.flags.c_contiguous


def test_colours_change_in_the_photo_only(pair):
    settings = AugmentationSettings(contrast=0.5, hue=0.1)
    image, mask, silhouette = transform_pair(np.random.default_rng(0), *pair, settings)
    assert not np.array_equal(image, pair[0])
    assert np.array_equal(mask, pair[1])
    assert np.array_equal(silhouette, pair[2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"scale": [1.2, 0.8]}, r"augment: got .*expected scale as \[smallest, largest\]"),
        ({"scale": [1.0]}, "augment.scale: got"),
        ({"rotation_degrees": 200}, "augment.rotation_degrees: got 200"),
        ({"rotate": 20}, "augment.rotate: unknown parameter"),
    ],
)
def test_settings_name_what_is_wrong(content, message):
    with pytest.raises(UserError, match=message):
        parse(AugmentationSettings, "augment", content)
