import numpy as np
import pytest
from PIL import Image

from pipeline.io.errors import UserError
from pipeline.io.images import (
    read_image,
    read_mask,
    read_silhouette,
    sha256_of,
    write_image,
    write_mask,
    write_silhouette,
)

RNG = np.random.default_rng(0)


def test_a_photo_survives(tmp_path):
    photo = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", photo)
    assert np.array_equal(read_image(tmp_path / "a.png"), photo)


def test_a_mask_is_indices_to_a_program_and_colours_to_a_person(tmp_path):
    labels = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
    colours = [(0, 0, 0), (255, 0, 0), (0, 0, 255)]
    write_mask(tmp_path / "m.png", labels, colours)
    assert np.array_equal(read_mask(tmp_path / "m.png"), labels)
    with Image.open(tmp_path / "m.png") as image:
        assert image.convert("RGB").getpixel((1, 0)) == (255, 0, 0)
        assert image.convert("RGB").getpixel((2, 0)) == (0, 0, 255)


def test_a_mask_in_colours_is_refused(tmp_path):
    write_image(tmp_path / "m.png", np.zeros((2, 2, 3), dtype=np.uint8))
    with pytest.raises(UserError, match=r"m\.png: mode RGB, expected a palette PNG"):
        read_mask(tmp_path / "m.png")


def test_a_silhouette_survives(tmp_path):
    silhouette = RNG.random((4, 6)) > 0.5
    write_silhouette(tmp_path / "s.png", silhouette)
    assert np.array_equal(read_silhouette(tmp_path / "s.png"), silhouette)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_an_unreadable_file_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.png"):
        read_image(path)


def test_a_truncated_file_is_named(tmp_path):
    write_image(tmp_path / "a.png", RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path = tmp_path / "cut.png"
    path.write_bytes((tmp_path / "a.png").read_bytes()[:500])
    with pytest.raises(UserError, match=r"cut\.png"):
        read_image(path)


def test_sha256_of_the_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty").startswith("e3b0c44298fc1c149afbf4c8996fb924")
