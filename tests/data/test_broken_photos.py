"""Photos that cannot be used, and odd ones that can, through the stage that a user runs."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.io.images import read_image, read_mask, sha256_of
from tests.data import broken_sets as sets

READERS = {"folders": sets.FOLDERS, "coco": sets.COCO}
LEFT_OUT = sets.name_of(sets.BROKEN)


@pytest.fixture
def runner(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return sets.Runner(tmp_path, capsys)


def _saved(image: Image.Image, **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **how)
    return buffer.getvalue()


def _photo() -> Image.Image:
    return Image.fromarray(sets.photo_pixels(sets.BROKEN))


def _animated(kind: str) -> bytes:
    frames = [Image.fromarray(sets.photo_pixels(index)) for index in range(3)]
    return _saved(frames[0], format=kind, save_all=True, append_images=frames[1:])


def _grey(values: np.ndarray, kind: str) -> bytes:
    return _saved(Image.fromarray(values), format=kind)


DARK = np.full((sets.SIDE, sets.SIDE), 200, np.uint16)
INTACT = _saved(_photo(), format="PNG")
JPEG = _saved(_photo(), format="JPEG", quality=95)

# content of the file, and the field, what was got and what to do about it
UNUSABLE = {
    "zero-bytes": (b"", "format", "an empty file", "copy it anew"),
    "text": (b"no image at all", "format", "no image that can be recognised", "export it"),
    "truncated-png": (INTACT[:-120], "pixels", "image file is truncated", "copy it anew"),
    "truncated-jpeg": (JPEG[:-100], "pixels", "image file is truncated", "copy it"),
    "truncated-in-the-header": (INTACT[:20], "pixels", "Truncated", "copy it anew"),
    "damaged-checksum": (
        INTACT[:60] + b"\0\0\0" + INTACT[63:],
        "pixels",
        "broken data stream",
        "copy it",
    ),
    "gif-of-3": (_animated("GIF"), "frames", "GIF of 3 images", "save the one that is labelled"),
    "apng-of-3": (_animated("PNG"), "frames", "PNG of 3 images", "save the one"),
    "webp-of-3": (_animated("WEBP"), "frames", "WEBP of 3 images", "save the one"),
    "tiff-of-3": (_animated("TIFF"), "frames", "TIFF of 3 images", "save the one"),
    "gigapixels": (sets.bomb(), "size", "3600000000 pixels", "scale it down"),
    "colour-profile-of-100-megabytes": (
        sets.text_bomb(INTACT, b"iCCP"),
        "pixels",
        "Decompressed data",
        "copy it",
    ),
    "comment-of-100-megabytes": (sets.text_bomb(INTACT), "pixels", "Decompressed data", "copy it"),
    "postscript": (
        _saved(_photo(), format="EPS"),
        "format",
        "no image that can be recognised",
        "export it",
    ),
    "8-bits-in-16": (_grey(DARK, "PNG"), "pixels", "values from 200 to 200", "stretch the values"),
    "floating-point": (
        _grey(DARK.astype(np.float32), "TIFF"),
        "pixels",
        "32-bit floating",
        "save it",
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("fault", UNUSABLE)
def test_a_photo_that_cannot_be_used_is_named_or_skipped(runner, reader, fault):
    content, field, got, remedy = UNUSABLE[fault]
    path = runner.root / "images" / LEFT_OUT
    path.write_bytes(content)

    result = runner.refused(READERS[reader])
    (row,) = result.listed
    assert (row["file"], row["field"]) == (str(path), field)
    assert got in row["got"] and remedy in row["remedy"]
    assert f"{path}: {field}: got {row['got']}, expected {row['expected']}" in result.err
    assert result.err.rstrip().endswith("all that is wrong: data/prepared.problems.csv")

    result = runner(READERS[reader], on_problem="skip")
    assert result.code == 0
    assert result.sources == [sets.name_of(i) for i in range(sets.TOTAL) if i != sets.BROKEN]
    assert result.listed == [row]
    assert "1 photos left out for 1 problems" in result.out and str(path) in result.out


def test_a_mended_set_leaves_no_list_behind(runner):
    path = runner.root / "images" / LEFT_OUT
    path.write_bytes(b"")
    runner.refused(sets.FOLDERS)
    path.write_bytes(INTACT)
    result = runner(sets.FOLDERS)
    assert result.code == 0 and result.listed == []
    strict = {p: sha256_of(p) for p in result.prepared.rglob("*") if p.is_file()}
    result = runner(sets.FOLDERS, on_problem="skip")
    assert strict == {p: sha256_of(p) for p in result.prepared.rglob("*") if p.is_file()}


def test_every_broken_photo_is_listed_in_one_run(runner):
    for index, fault in enumerate(("zero-bytes", "truncated-png", "gif-of-3", "8-bits-in-16")):
        (runner.root / "images" / sets.name_of(index)).write_bytes(UNUSABLE[fault][0])
    for labels in READERS.values():
        result = runner.refused(labels)
        assert {row["field"] for row in result.listed} == {"format", "pixels", "frames"}
        assert len(result.listed) == 4
        assert "4 problems in" in result.err


def test_many_problems_are_all_in_the_list_and_the_first_in_the_message(runner):
    for index in range(30):
        shutil.copy(runner.root / "masks" / LEFT_OUT, runner.root / "masks" / f"lost{index}.png")
    result = runner.refused(sets.FOLDERS)
    assert len(result.listed) == 30
    assert result.err.count("a mask without photo") == 20 and "… and 10 more" in result.err


def test_with_every_photo_broken_none_is_left(runner):
    for path in (runner.root / "images").iterdir():
        path.write_bytes(b"")
    for labels in READERS.values():
        assert len(runner.refused(labels).listed) == sets.TOTAL
        result = runner(labels, on_problem="skip")
        assert result.code == 1 and "no photo is left" in result.err
        assert not result.prepared.exists()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def _wide(image: Image.Image) -> bytes:
    return _grey(np.asarray(image.convert("L")).astype(np.uint16) * 257, "PNG")


def _with_alpha(image: Image.Image) -> bytes:
    grey = np.asarray(image.convert("L"))
    alpha = np.full_like(grey, 255)
    alpha[:, 12:] = 0
    return _saved(Image.fromarray(np.dstack([grey, alpha])), format="PNG")


def _black_on_the_right(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    pixels[:, 12:] = 0
    return pixels


def _unchanged(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _grey_of(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(Image.fromarray(pixels).convert("L"))[..., None], 3, axis=2)


# content of the file named .png, the pixels to expect, and how far they may be off (JPEG, CMYK)
ODD = {
    "jpeg-named-png": (lambda photo: _saved(photo, format="JPEG", quality=95), _unchanged, 30),
    "turned-by-exif": (
        lambda photo: _saved(
            photo.transpose(Image.Transpose.ROTATE_90), format="PNG", exif=_exif(6)
        ),
        _unchanged,
        0,
    ),
    "exif-that-says-nothing": (
        lambda photo: _saved(photo, format="PNG", exif=_exif(99)),
        _unchanged,
        0,
    ),
    "cmyk-tiff": (lambda photo: _saved(photo.convert("CMYK"), format="TIFF"), _unchanged, 1),
    "cmyk-jpeg": (
        lambda photo: _saved(photo.convert("CMYK"), format="JPEG", quality=95),
        _unchanged,
        40,
    ),
    "16-bits": (_wide, _grey_of, 0),
    "grey-with-alpha": (_with_alpha, lambda pixels: _black_on_the_right(_grey_of(pixels)), 0),
    "phone-jpeg-with-preview": (
        lambda photo: _saved(photo, format="MPO", save_all=True, append_images=[photo], quality=95),
        _unchanged,
        30,
    ),
    "palette": (
        lambda photo: _saved(photo.quantize(256), format="PNG"),
        _unchanged,
        8,
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_photo_is_read_as_it_looks(runner, reader, kind):
    made, expected, tolerance = ODD[kind]
    (runner.root / "images" / LEFT_OUT).write_bytes(made(_photo()))
    result = runner(READERS[reader])
    assert (result.code, result.err) == (0, "")
    name = LEFT_OUT.removesuffix(".png")
    pixels = read_image(result.prepared / f"images/{name}.png").astype(int)
    assert abs(pixels - expected(sets.photo_pixels(sets.BROKEN))).max() <= tolerance
    assert (read_mask(result.prepared / f"masks/{name}.png") == (sets.mask_pixels() > 0)).all()
