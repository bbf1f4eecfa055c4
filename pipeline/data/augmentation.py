"""Random flips and affine transformations of a photo, its mask and its silhouette together.

The transformations of the All-Latent/ISDM thesis: flips, rotation, shift and scale for masks that
condition a model (chapter 5) and for the "traditional data augmentation" of segmenters (chapter
7.3.6, with the changes of `pipeline.data.photometric`). A mask is resampled by nearest neighbour,
so classes never mix.
"""

import math
from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from pipeline.data.photometric import PhotometricSettings, change_colours
from pipeline.io.params import Settings


class GeometricSettings(Settings):
    """How far a pair may move; the defaults move nothing."""

    horizontal_flip: float = Field(default=0.0, ge=0, le=1)  # probability
    vertical_flip: float = Field(default=0.0, ge=0, le=1)  # probability
    rotation_degrees: float = Field(default=0.0, ge=0, le=180)  # uniform in ± this
    scale: list[Annotated[float, Field(gt=0)]] = Field(  # log-uniform between the two factors
        default=[1.0, 1.0], min_length=2, max_length=2
    )
    shift: float = Field(default=0.0, ge=0, le=1)  # uniform in ± this share of width and height
    border: Literal["black", "reflect"] = "black"  # what comes in from outside the frame

    @model_validator(mode="after")
    def _scale_ascends(self) -> "GeometricSettings":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale as [smallest, largest], got {self.scale}")
        return self

    @property
    def is_affine(self) -> bool:
        """Whether anything beyond flips can happen."""
        return self.rotation_degrees > 0 or self.shift > 0 or self.scale != [1.0, 1.0]


class AugmentationSettings(GeometricSettings, PhotometricSettings):
    """Flips, affine transformation and changes of the photo's colours."""


Transformed = tuple[np.ndarray | None, np.ndarray, np.ndarray | None]


def transform_pair(
    rng: np.random.Generator,
    image: np.ndarray | None,
    mask: np.ndarray,
    silhouette: np.ndarray | None,
    settings: GeometricSettings,
) -> Transformed:
    """The same random flips and affine transformation for a photo, its mask and its silhouette.

    Args:
        rng: equal states give equal results; the number of draws does not depend on `settings`.
        image: uint8 H×W×3, or None where only a mask is wanted; resampled bilinearly. Its colours
            are changed too if `settings` are `AugmentationSettings`.
        mask: uint8 H×W class indices; resampled by nearest neighbour.
        silhouette: bool H×W, or None; resampled like the mask.
        settings: what may happen.

    Returns:
        New arrays of the same shapes and dtypes; None where None came in. With border `black`,
        what comes in from outside is black in the photo, background in the mask and off the
        object; with `reflect` it is the mirror image of what is inside.
    """
    flips = rng.random(2)
    coefficients = _draw_affine(rng, mask.shape, settings)
    arrays: list[np.ndarray | None] = [image, mask, silhouette]
    if flips[0] < settings.horizontal_flip:
        arrays = [None if array is None else array[:, ::-1] for array in arrays]
    if flips[1] < settings.vertical_flip:
        arrays = [None if array is None else array[::-1] for array in arrays]
    if settings.is_affine:
        arrays = [_warp(array, coefficients, settings.border) for array in arrays]
    image, mask, silhouette = (None if a is None else np.ascontiguousarray(a) for a in arrays)
    if image is not None and isinstance(settings, PhotometricSettings):
        image = change_colours(rng, image, settings)
    return image, mask, silhouette


def _draw_affine(
    rng: np.random.Generator, shape: tuple[int, ...], settings: GeometricSettings
) -> tuple[float, ...]:
    """Random (a, b, c, d, e, f): output (x, y) shows input (ax + by + c, dx + ey + f)."""
    height, width = shape
    draws = rng.uniform(-1.0, 1.0, size=4)
    angle = math.radians(settings.rotation_degrees) * draws[0]
    low, high = (math.log(factor) for factor in settings.scale)
    zoom = math.exp(low + (high - low) * (draws[1] + 1) / 2)
    # the centre of the input lands here; coordinates are in pixels from the upper left corner
    to_x = width * (0.5 + settings.shift * draws[2])
    to_y = height * (0.5 + settings.shift * draws[3])
    a, b = math.cos(angle) / zoom, math.sin(angle) / zoom
    return (
        a, b, width / 2 - a * to_x - b * to_y,
        -b, a, height / 2 + b * to_x - a * to_y,
    )  # fmt: skip


def _warp(
    array: np.ndarray | None, coefficients: tuple[float, ...], border: str
) -> np.ndarray | None:
    if array is None:
        return None
    height, width = array.shape[:2]
    a, b, c, d, e, f = coefficients
    if border == "reflect":
        edges = [(height, height), (width, width), (0, 0)][: array.ndim]
        array = np.pad(array, edges, mode="symmetric")
        c, f = c + width, f + height
    is_photo = array.ndim == 3
    source = Image.fromarray(array if array.dtype == np.uint8 else array.astype(np.uint8))
    warped = source.transform(
        (width, height),
        Image.Transform.AFFINE,
        (a, b, c, d, e, f),
        resample=Image.Resampling.BILINEAR if is_photo else Image.Resampling.NEAREST,
    )
    return np.array(warped, dtype=array.dtype)
