import numpy as np
import pytest
from PIL import Image

from pipeline.data.photos import read_header, read_photo, turn_mask
from pipeline.data.problems import FaultError

ORIENTATION = 274


def _oriented(path, orientation, pixels):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, quality=95, exif=exif, subsampling=0)


@pytest.fixture
def pixels():
    """24 high, 40 wide: red top left quarter, blue bottom right quarter."""
    image = np.zeros((24, 40, 3), np.uint8)
    image[:12, :20, 0] = 255
    image[12:, 20:, 2] = 255
    return image


# where the red quarter of the stored photo lies when it is shown upright (TIFF 6.0, tag 274)
@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [
        (1, (40, 24), (0, 0)),
        (2, (40, 24), (0, -1)),
        (3, (40, 24), (-1, -1)),
        (4, (40, 24), (-1, 0)),
        (5, (24, 40), (0, 0)),
        (6, (24, 40), (0, -1)),
        (7, (24, 40), (-1, -1)),
        (8, (24, 40), (-1, 0)),
    ],
)
def test_exif_orientation_turns_photo_and_mask_alike(tmp_path, pixels, orientation, size, corner):
    path = tmp_path / "photo.jpg"
    _oriented(path, orientation, pixels)
    header = read_header(path)
    photo = np.asarray(read_photo(path))
    mask = turn_mask(pixels[..., 0] > 0, header.orientation)
    assert header.stored == (40, 24)
    assert header.upright == size == (photo.shape[1], photo.shape[0])
    assert mask.dtype == bool
    assert mask[corner]
    assert (mask == (photo[..., 0] > 127)).all()


def test_jpeg_is_decoded_reduced_but_not_below_the_minimum(tmp_path, pixels):
    path = tmp_path / "photo.jpg"
    large = pixels.repeat(20, axis=0).repeat(20, axis=1)  # 480 high, 800 wide
    _oriented(path, 6, large)
    assert read_photo(path).size == (480, 800)
    assert read_photo(path, (60, 100)).size == (60, 100)
    assert read_photo(path, (61, 100)).size == (120, 200)


def test_transparent_parts_become_black(tmp_path):
    image = np.full((4, 4, 4), 200, np.uint8)
    image[..., 3] = 255
    image[:, :2, 3] = 0
    image[:, 3, 3] = 128
    Image.fromarray(image).save(tmp_path / "rgba.png")
    photo = np.asarray(read_photo(tmp_path / "rgba.png"))
    assert (photo[:, :2] == 0).all()
    assert (photo[:, 2] == 200).all()
    assert (abs(photo[:, 3].astype(int) - 100) <= 1).all()


def test_grey_of_eight_and_sixteen_bits_becomes_rgb(tmp_path):
    Image.fromarray(np.full((4, 4), 77, np.uint8)).save(tmp_path / "8.png")
    Image.fromarray(np.full((4, 4), 77 * 257, np.uint16)).save(tmp_path / "16.png")
    for name in ("8.png", "16.png"):
        photo = read_photo(tmp_path / name)
        assert photo.mode == "RGB"
        assert (np.asarray(photo) == 77).all()


def test_truncated_photo_raises(tmp_path, pixels):
    path = tmp_path / "photo.jpg"
    _oriented(path, 1, np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:1500])
    read_header(path)
    with pytest.raises(FaultError, match=r"pixels: got .*truncated.*; copy it anew"):
        read_photo(path)
