"""Masks that are image files: anti-aliased, JPEG, grey, or palette images of class numbers."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from pipeline.data.folder_settings import FolderSettings
from pipeline.data.photos import on_black, opened, turn_mask
from pipeline.data.problems import FaultError

BACKGROUND = "background"


def read_values(path: Path, settings: FolderSettings) -> tuple[tuple[int, int], np.ndarray]:
    """Width and height, and the pixel values H×W of a mask file as stored.

    By value, these are a palette image's indices; otherwise its brightness, transparent parts
    being black.

    Raises:
        FaultError: the file is damaged, or of a mode that has no class numbers.
    """
    with opened(path) as image:
        image.load()
        single = image.mode in ("L", "I", "F") or image.mode.startswith("I;16")
        by_value = settings.class_from == "value"
        if by_value and not single and image.mode not in ("P", "1"):
            raise FaultError(
                "mode",
                f"colours ({image.mode})",
                "grey or palette, as dataset.folders.class_from is value",
                "export the masks as class numbers; colours are no numbers",
            )
        kept = single or (by_value and image.mode == "P")
        values = np.array(image if kept else on_black(image).convert("L"))
        if not np.isfinite(values).all():
            raise FaultError("values", "NaN or infinity", "numbers", "export the mask again")
        return image.size, values


def regions_of(
    values: np.ndarray, category: str | None, settings: FolderSettings
) -> dict[str, np.ndarray]:
    """Category → bool H×W from a mask's values; `category` None = as `class_values` lists them.

    Raises:
        FaultError: a value is listed nowhere.
    """
    if category is not None:
        return {category: values > settings.threshold}
    classes = {BACKGROUND: [0], **settings.class_values}
    known = [value for listed in classes.values() for value in listed]
    unknown = sorted(set(np.unique(values).tolist()) - set(known))
    if unknown:
        shown = ", ".join(map(str, unknown[:8])) + ", …" * (len(unknown) > 8)
        raise FaultError(
            "values",
            shown,
            f"those of dataset.folders.class_values ({', '.join(map(str, sorted(known)))}; "
            "of a palette image its indices and not its colours)",
            f"list them in a class, or in {BACKGROUND}",
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
