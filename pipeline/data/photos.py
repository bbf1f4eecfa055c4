"""Photos of any kind as upright 8-bit RGB, and masks turned the way their photo is turned.

Cameras store a photo as the sensor saw it and note in EXIF how to turn it. Labelling tools show it
upright; some ignore the note. So sizes are known both ways, and a mask that was drawn on the
unturned photo is turned with it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    UnidentifiedImageError,
    Image.DecompressionBombError,
)

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


def read_header(path: Path) -> Header:
    """Size and orientation without decoding the pixels; raises one of `UNREADABLE`."""
    with Image.open(path) as image:
        return Header(image.size, _orientation(image))


def read_photo(path: Path, minimum: tuple[int, int] | None = None) -> Image.Image:
    """The photo upright, mode RGB, transparent parts black.

    Args:
        path: any format that Pillow reads.
        minimum: upright width and height below which the photo must not be reduced. A JPEG is
            then decoded at 1/2, 1/4 or 1/8 of its scale where that suffices; None = full size.

    Raises:
        One of `UNREADABLE`.
    """
    with Image.open(path) as image:
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
        wide = np.asarray(image).astype(np.float64)
        scale = 257.0 if wide.max(initial=0) > 255 else 1.0
        return Image.fromarray((wide / scale).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image).convert("RGB")
    return image.convert("RGB")
