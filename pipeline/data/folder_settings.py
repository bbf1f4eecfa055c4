"""How a data set of photo and mask files is laid out; the parameters of the folders reader."""

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.io.params import Settings

PLACES = ("folder", "parent", "stem", "name")
_NEEDED = {"class_pattern": "folder", "class_name": "constant", "class_values": "value"}


class FolderSettings(Settings):
    r"""How photos and masks lie below `dataset.path`.

    Attributes:
        images: pattern (glob) of the photos, such as `images/*.jpg` or `**/Imgs/*.jpg`. A file
            that is the mask of another photo is not taken for a photo.
        mask: the mask's path, where {folder} is the photo's folder, {parent} the folder above
            that, {stem} the photo's name without and {name} with its ending.
        mask_missing: whether a photo without mask file is an error or free of defects.
        class_from: `folder`: the name is the first group of `class_pattern`, searched in the
            photo's path; `constant`: every region is `class_name`; `value`: `class_values` lists
            the mask's pixel values (palette indices) of each class.
        threshold: a mask's pixel above it belongs to the region (folder, constant).
        defect_free: classes of `class_pattern` that mean there is no defect.
    """

    images: str = Field(min_length=1)
    mask: str = Field(min_length=1)
    mask_missing: Literal["error", "defect_free"] = "error"
    class_from: Literal["folder", "constant", "value"]
    class_pattern: str | None = Field(default=None, validate_default=True)
    class_name: str | None = Field(default=None, validate_default=True)
    class_values: dict[str, list[int]] | None = Field(default=None, validate_default=True)
    threshold: int = Field(default=127, ge=0, le=65534)
    defect_free: list[str] = Field(default=[])

    @field_validator("mask")
    @classmethod
    def _known_places(cls, pattern: str) -> str:
        try:
            pattern.format_map(dict.fromkeys(PLACES, ""))
        except (KeyError, ValueError, IndexError):
            places = ", ".join(f"{{{name}}}" for name in PLACES)
            raise ValueError(f"a path with {places} and no other braces") from None
        return pattern

    @field_validator("class_pattern", "class_name", "class_values")
    @classmethod
    def _needed(cls, content: object, info: ValidationInfo) -> object:
        source = _NEEDED[info.field_name]
        if content is None and info.data.get("class_from") == source:
            raise ValueError(f"a setting, as class_from is {source}")
        if info.field_name == "class_pattern" and content is not None:
            require_group(content)
        return content


def require_group(pattern: str) -> str:
    """Check that `pattern` is a regular expression with a group; ValueError otherwise."""
    try:
        if re.compile(pattern).groups >= 1:
            return pattern
    except re.error as error:
        raise ValueError(f"a regular expression ({error})") from None
    raise ValueError("a regular expression with a group in round brackets")
