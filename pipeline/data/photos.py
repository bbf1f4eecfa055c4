"""Photos of any kind as upright 8-bit RGB, and masks turned the way their photo is turned.

Cameras store a photo as the sensor saw it and note in EXIF how to turn it. Labelling tools show it
upright; some ignore the note. So sizes are known both ways, and a mask that was drawn on the
unturned photo is turned with it.
"""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from pipeline.data.problems import FaultError

# Of large photos and odd tags Pillow warns by lines of its own; what matters is an error here.
warnings.filterwarnings("ignore", module=r"PIL\.")
# Only these are opened: some of Pillow's other readers start programs (EPS: Ghostscript) or have
# seen little use. The content decides and not the name's ending.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")
LARGEST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # beyond, Pillow refuses to open a file

# EXIF orientation → how to turn the stored image upright (TIFF 6.0, tag 274)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)
_WIDE_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_WIDE_MAXIMUM = 65535
# A wide photo that stays below would be nearly black: 8 or 12 bits stored in 16, most likely.
_WIDE_MINIMUM = 4096


@dataclass(frozen=True)
class Header:
    """Width and height as stored, and the EXIF orientation (1 = stored upright)."""

    stored: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height after turning."""
        width, height = self.stored
        return (height, width) if self.orientation in _SWAPS_SIDES else (width, height)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file as Pillow opens it, its pixels not yet decoded.

    Raises:
        FaultError: whatever is wrong with the file, also if it shows in the block, which should
            therefore do nothing but decode.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            _refuse_several(image)
            yield image
    except (FaultError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise FaultError(
            "size",
            str(error),
            f"at most {LARGEST_PIXELS} pixels",
            "cut it into parts or scale it down",
        ) from None
    except UnidentifiedImageError:
        empty = path.stat().st_size == 0
        raise FaultError(
            "format",
            "an empty file" if empty else "no image that can be recognised",
            f"one of {', '.join(FORMATS)}",
            "copy it anew or export it again",
        ) from None
    except Exception as error:  # a decoder may raise anything at a damaged file
        raise FaultError(
            "pixels",
            f"{error or type(error).__name__}",
            "an intact image",
            "copy it anew or export it again",
        ) from None


def _refuse_several(image: Image.Image) -> None:
    # An MPO is a JPEG photo with a preview or a gain map behind it.
    total = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if total > 1:
        raise FaultError(
            "frames",
            f"{image.format} of {total} images",
            "one image",
            "save the one that is labelled as a file of its own",
        )


def read_header(path: Path) -> Header:
    """Size and orientation without decoding the pixels; raises `FaultError`."""
    with opened(path) as image:
        return Header(image.size, _orientation(image))


def read_photo(path: Path, minimum: tuple[int, int] | None = None) -> Image.Image:
    """The photo upright, mode RGB, transparent parts black.

    Args:
        path: a file of one of `FORMATS`.
        minimum: upright width and height below which the photo must not be reduced. A JPEG is
            then decoded at 1/2, 1/4 or 1/8 of its scale where that suffices; None = full size.

    Raises:
        FaultError: the file is damaged or holds something else than one photo.
    """
    with opened(path) as image:
        orientation = _orientation(image)
        if minimum is not None:
            width, height = minimum
            stored = (height, width) if orientation in _SWAPS_SIDES else (width, height)
            image.draft("RGB", stored)
        image.load()
        photo = _to_rgb(image)
    return photo.transpose(_TURNS[orientation]) if orientation in _TURNS else photo


def turn_mask(mask: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a mask (bool or uint8, H×W) that was drawn on the stored photo the photo's way."""
    if orientation not in _TURNS:
        return mask
    image = Image.fromarray(mask.astype(np.uint8))
    return np.array(image.transpose(_TURNS[orientation])).astype(mask.dtype)


def _orientation(image: Image.Image) -> int:
    # Pillow would decode a whole PNG just to look for an EXIF block behind the pixels.
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _WIDE_GREY:
        return _from_wide(image)
    if image.mode == "F":
        raise FaultError(
            "pixels",
            "32-bit floating point numbers",
            "8 or 16 bits a channel",
            "save it with 8 bits, as no one knows which number is white",
        )
    return on_black(image).convert("RGB")


def on_black(image: Image.Image) -> Image.Image:
    """The image, composed on black if any of it is transparent."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB")


def _from_wide(image: Image.Image) -> Image.Image:
    """Grey of 16 bits as RGB: 65535 is white, whatever the photo's own brightest pixel is."""
    wide = np.asarray(image).astype(np.float64)
    darkest, brightest = int(wide.min()), int(wide.max())
    if darkest < 0 or not _WIDE_MINIMUM <= brightest <= _WIDE_MAXIMUM:
        raise FaultError(
            "pixels",
            f"mode {image.mode} with values from {darkest} to {brightest}",
            f"16-bit grey whose white is {_WIDE_MAXIMUM}",
            "stretch the values to the whole range, or save it with 8 bits",
        )
    return Image.fromarray(np.rint(wide / 257).astype(np.uint8)).convert("RGB")
