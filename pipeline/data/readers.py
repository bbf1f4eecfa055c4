"""The data set a user names: which reader takes it, and where the object's silhouette is from."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.data.coco import CocoSettings, read_coco
from pipeline.data.folder_settings import FolderSettings
from pipeline.data.folders import read_folders
from pipeline.data.problems import FaultError, UnusableError
from pipeline.data.records import Reading
from pipeline.io.errors import UserError
from pipeline.io.params import Settings

READERS: dict[str, Callable[[Path, Settings], Reading]] = {
    "coco": read_coco,
    "folders": read_folders,
}


class ObjectSettings(Settings):
    """Where the silhouette of the photographed object comes from.

    `threshold`: what is brighter than `threshold` (0…254); `category`: the regions of a category
    of the annotations, which then is no defect; `none`: there is no silhouette.
    """

    source: Literal["none", "threshold", "category"]
    threshold: int | None = Field(default=None, ge=0, le=254, validate_default=True)
    category: str | None = Field(default=None, validate_default=True)

    @field_validator("threshold", "category")
    @classmethod
    def _needed(cls, content: object, info: ValidationInfo) -> object:
        if content is None and info.data.get("source") == info.field_name:
            raise ValueError(f"a setting, as dataset.object.source is {info.field_name}")
        return content


class DatasetSettings(Settings):
    """A labelled data set; only the chosen reader's block is needed.

    Attributes:
        on_problem: whether a set with problems is refused, or the photos that they spoil left out.
    """

    path: str = Field(min_length=1)
    on_problem: Literal["stop", "skip"] = "stop"
    reader: Literal["coco", "folders"]
    coco: CocoSettings | None = Field(default=None, validate_default=True)
    folders: FolderSettings | None = Field(default=None, validate_default=True)
    object: ObjectSettings

    @field_validator("coco", "folders")
    @classmethod
    def _needed(cls, content: object, info: ValidationInfo) -> object:
        if content is None and info.data.get("reader") == info.field_name:
            raise ValueError(f"a block of settings, as dataset.reader is {info.field_name}")
        return content

    @property
    def object_category(self) -> str | None:
        """The category that outlines the object and therefore is no defect."""
        return self.object.category if self.object.source == "category" else None


def read_dataset(settings: DatasetSettings) -> Reading:
    """Read the data set at `settings.path` with its reader.

    Raises:
        UnusableError: the folder holds no labelled photo, or the file of labels cannot be read.
        UserError: the folder is missing, or lacks the object's category.
    """
    root = Path(settings.path)
    if not root.is_dir():
        raise UserError(f"dataset.path: {root} is no folder; give the one with your data set")
    reading = READERS[settings.reader](root, getattr(settings, settings.reader))
    if not reading.records and not reading.problems:
        fault = FaultError("photos", "none with labels", "some", "label them or mend dataset.path")
        raise UnusableError(str(root), [fault.at(root)])
    category = settings.object_category
    if category is not None and category not in reading.categories:
        raise UserError(
            f"dataset.object.category: got {category!r}, expected one of "
            + ", ".join(reading.categories)
        )
    return reading
