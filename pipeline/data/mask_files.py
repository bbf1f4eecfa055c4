"""Masks that are image files: anti-aliased, JPEG, grey, or palette images of class numbers."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.folder_settings import FolderSettings
from pipeline.data.photos import turn_mask

BACKGROUND = "background"


def read_values(path: Path, settings: FolderSettings) -> tuple[tuple[int, int], np.ndarray]:
    """Width and height, and the pixel values H×W of a mask file as stored.

    By value, these are a palette image's indices; otherwise its brightness.

    Raises:
        One of `photos.UNREADABLE`.
    """
    with Image.open(path) as image:
        image.load()
        single = image.mode in ("L", "I", "F") or image.mode.startswith("I;16")
        by_value = settings.class_from == "value"
        if by_value and not single and image.mode not in ("P", "1"):
            raise ValueError(f"mode {image.mode}, expected grey or palette, as class_from is value")
        kept = single or (by_value and image.mode == "P")
        return image.size, np.array(image if kept else image.convert("L"))


def regions_of(
    values: np.ndarray, category: str | None, settings: FolderSettings
) -> dict[str, np.ndarray]:
    """Category → bool H×W from a mask's values; `category` None = as `class_values` lists them.

    Raises:
        ValueError: a value is listed nowhere.
    """
    if category is not None:
        return {category: values > settings.threshold}
    classes = {BACKGROUND: [0], **settings.class_values}
    known = [value for listed in classes.values() for value in listed]
    unknown = sorted(set(np.unique(values).tolist()) - set(known))
    if unknown:
        shown = ", ".join(map(str, unknown[:8]))
        raise ValueError(
            f"values {shown} are in no class of dataset.folders.class_values; "
            f"add them to one, or to {BACKGROUND}"
        )
    return {name: np.isin(values, listed) for name, listed in classes.items() if name != BACKGROUND}


def read_regions(
    path: Path,
    category: str | None,
    settings: FolderSettings,
    orientation: int,
    names: Collection[str],
) -> dict[str, np.ndarray]:
    """The wanted regions of a mask file, turned by the EXIF `orientation` of its photo."""
    regions = regions_of(read_values(path, settings)[1], category, settings)
    return {name: turn_mask(regions[name], orientation) for name in regions if name in names}
