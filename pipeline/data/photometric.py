"""Random changes of a photo's colours and sharpness that leave its mask as it is.

The "traditional data augmentation" of the All-Latent/ISDM thesis (chapter 7.3.6): random
sharpening or blurring, random contrast and hue changes. Brightness is ours. The thesis gives no
strengths.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from pydantic import Field

from pipeline.io.params import Settings

BLUR_RADIUS_PX = 1.5
UNSHARP_PERCENT = 200


class PhotometricSettings(Settings):
    """Largest strength of each change; a strength is drawn uniformly from ± this, 0 = never."""

    brightness: float = Field(default=0.0, ge=0, le=1)  # factor 1 ± this
    contrast: float = Field(default=0.0, ge=0, le=1)  # factor 1 ± this about the mean grey
    hue: float = Field(default=0.0, ge=0, le=0.5)  # turn of the colour circle by ± this share
    sharpness: float = Field(default=0.0, ge=0, le=1)  # 1: blur of 1.5 px or as strong a sharpening


def change_colours(
    rng: np.random.Generator, image: np.ndarray, settings: PhotometricSettings
) -> np.ndarray:
    """A randomly changed copy of a uint8 H×W×3 photo; equal `rng` states give equal bytes."""
    strengths = rng.uniform(-1.0, 1.0, size=len(CHANGES))
    picture = Image.fromarray(image)
    for (name, change), strength in zip(CHANGES.items(), strengths, strict=True):
        limit = getattr(settings, name)
        if limit > 0:
            picture = change(picture, limit * float(strength))
    return np.array(picture)


def change_brightness(picture: Image.Image, strength: float) -> Image.Image:
    """All values × (1 + strength)."""
    return ImageEnhance.Brightness(picture).enhance(1.0 + strength)


def change_contrast(picture: Image.Image, strength: float) -> Image.Image:
    """Distances from the mean grey × (1 + strength)."""
    return ImageEnhance.Contrast(picture).enhance(1.0 + strength)


def change_hue(picture: Image.Image, strength: float) -> Image.Image:
    """Hue turned by `strength` of the colour circle."""
    hue, saturation, brightness = picture.convert("HSV").split()
    turn = round(strength * 255)  # Pillow: 255 is the whole circle
    hue = hue.point([(value + turn) % 255 for value in range(256)])
    return Image.merge("HSV", (hue, saturation, brightness)).convert("RGB")


def change_sharpness(picture: Image.Image, strength: float) -> Image.Image:
    """Gaussian blur for negative strengths, unsharp masking for positive ones."""
    if strength < 0:
        return picture.filter(ImageFilter.GaussianBlur(-strength * BLUR_RADIUS_PX))
    percent = round(strength * UNSHARP_PERCENT)
    return picture.filter(ImageFilter.UnsharpMask(BLUR_RADIUS_PX, percent, threshold=0))


CHANGES: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": change_brightness,
    "contrast": change_contrast,
    "hue": change_hue,
    "sharpness": change_sharpness,
}
