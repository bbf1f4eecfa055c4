"""A study: what varies, what is looked at, and the cells that follow from it.

studies/<name>.yaml says which parameters take which values. The axes span a grid; each of its
cells is one run of the whole pipeline, or one for each group fold.
"""

import itertools
import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.io.errors import UserError
from pipeline.io.params import Settings, parse, read_yaml
from pipeline.studies.overrides import replace_values

STUDIES_FOLDER = Path("studies")
MIX = "mix"


class ColumnSettings(Settings):
    """A figure of each architecture, mix and seed: `sums`, or a column of a CSV file of a run."""

    # a figure of metrics/group_sums.parquet; its verdicts allow for other test groups and other
    # seeds, those of a column for other seeds alone; `{axis}` stands for the cell's value of it
    sums: str | None = None
    # what mixes are compared with in this figure, in place of their own baselines
    baseline: str | None = None
    file: str = ""
    column: str = ""
    # of several rows, the one to take; `{axis}` as above
    where: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_place(self) -> "ColumnSettings":
        of_sums, of_column = self.sums or self.baseline, self.file or self.column or self.where
        if bool(self.sums) == bool(self.file and self.column) or (of_sums and of_column):
            raise ValueError("either sums (and baseline), or file and column (and where)")
        return self


class FigureSettings(Settings):
    """What the drawing shows; a panel for each architecture."""

    y: str  # one of `collect`
    x: str = MIX  # or an axis; all else that varies is told apart by colours and marks
    photos: str = "the real test photos"  # that the figure was measured on
    difference: bool = False  # to the baseline's, where cells have baselines of their own
    logarithmic: bool = False  # the x axis, if its values are numbers


class PresetSettings(Settings):
    """What takes the place of a study's own with one preset."""

    common: dict[str, Any] = Field(default_factory=dict)  # parameters beside the study's
    axes: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)  # whole ones


class StudySettings(Settings):
    """studies/<name>.yaml. Parameters are named by their dotted path in params.yaml."""

    title: str
    repeats: str | None = None  # table or figure of which document
    question: str
    common: dict[str, Any] = Field(default_factory=dict)  # parameters of all cells
    # axis: value's name: the parameters it stands for
    axes: dict[str, dict[str, dict[str, Any]]] = Field(min_length=1)
    # cells of the grid that are not run: those that have all the values of one of these
    leave_out: list[dict[str, str]] = Field(default_factory=list)
    # preset: what differs with it, for amounts that its runs are too small for
    presets: dict[str, PresetSettings] = Field(default_factory=dict)
    # group folds, a run each for every cell; None = the split of the parameters
    folds: int | None = Field(default=None, ge=2)
    collect: dict[str, ColumnSettings] = Field(min_length=1)
    # figures of metrics/generation.csv, told for each synthetic set in a figure and a table
    quality: list[str] = Field(default_factory=list)
    figure: FigureSettings
    # what the page's tables have in their columns: a table a figure, or a table an architecture
    columns: Literal["architectures", "figures"] = "architectures"

    @field_validator("axes")
    @classmethod
    def _have_values(cls, axes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        empty = [axis for axis, values in axes.items() if not values]
        if empty:
            raise ValueError(f"a value for each axis; {', '.join(empty)} has none")
        return axes

    @field_validator("leave_out")
    @classmethod
    def _exist(cls, cells: list[dict[str, str]], info: ValidationInfo) -> list[dict[str, str]]:
        axes = info.data.get("axes", {})
        for cell in cells:
            unknown = [
                f"{axis} {name}" for axis, name in cell.items() if name not in axes.get(axis, {})
            ]
            if unknown or not cell:
                what = ", ".join(unknown) or "an empty entry"
                raise ValueError(f"values of the axes {', '.join(axes)}; {what} is none")
        return cells

    @field_validator("presets")
    @classmethod
    def _replace_axes(
        cls, presets: dict[str, PresetSettings], info: ValidationInfo
    ) -> dict[str, PresetSettings]:
        axes = info.data.get("axes", {})
        for preset in presets.values():
            if unknown := ", ".join(set(preset.axes) - set(axes)):
                raise ValueError(f"axes of the study ({', '.join(axes)}); {unknown} is none")
        return presets

    @field_validator("collect")
    @classmethod
    def _name_axes(
        cls, collect: dict[str, ColumnSettings], info: ValidationInfo
    ) -> dict[str, ColumnSettings]:
        axes = info.data.get("axes", {})
        columns = collect.values()
        texts = [text for column in columns for text in (column.sums or "", *column.where.values())]
        names = {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}
        if unknown := sorted(names - set(axes)):
            raise ValueError(f"axes ({', '.join(axes)}) in braces; {', '.join(unknown)} is none")
        return collect

    @field_validator("figure")
    @classmethod
    def _is_there(cls, figure: FigureSettings, info: ValidationInfo) -> FigureSettings:
        columns, axes = info.data.get("collect", {}), info.data.get("axes", {})
        if figure.y not in columns:
            raise ValueError(f"y to be one of collect: {', '.join(columns)}")
        if figure.x not in (MIX, *axes):
            raise ValueError(f"x to be {MIX} or an axis: {', '.join(axes)}")
        return figure

    def places(self, labels: dict[str, str]) -> dict[str, dict[str, Any]]:
        """By its place in the file all that changes a cell's parameters; later ones win.

        Args:
            labels: the cell's value of each axis.
        """
        of_axes = {f"axes.{axis}.{name}": self.axes[axis][name] for axis, name in labels.items()}
        return {"common": self.common, **of_axes}

    def with_preset(self, preset: str) -> "StudySettings":
        """The study as it is with that preset's parameters."""
        own = self.presets.get(preset, PresetSettings())
        changes = {"common": self.common | own.common, "axes": self.axes | own.axes}
        return self.model_copy(update=changes)

    def over_folds(self, folds: int) -> "StudySettings":
        """The same study with every cell run on each of so many group folds.

        Raises:
            UserError: fewer than two.
        """
        if folds < 2:
            raise UserError(f"--folds: got {folds}, expected 2 or more")
        return self.model_copy(update={"folds": folds})


@dataclass(frozen=True)
class Cell:
    """One run: the value of each axis by name, what it changes, and all its parameters.

    `fold` tells the runs of one place in the grid apart; None if there is one.
    """

    values: dict[str, str]
    changes: dict[str, Any]
    params: dict[str, Any]
    fold: int | None = None

    @property
    def name(self) -> str:
        """Such as `augmented-best-half`."""
        fold = [] if self.fold is None else [f"fold {self.fold}"]
        text = "-".join([*self.values.values(), *fold])
        return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def read_study(name: str, folder: Path = STUDIES_FOLDER) -> StudySettings:
    """Read studies/<name>.yaml.

    Raises:
        UserError: there is none of that name, or something in it is wrong.
    """
    path = folder / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(item.stem for item in folder.glob("*.yaml"))) or "none yet"
        raise UserError(f"NAME: got {name!r}, expected a study of {folder}: {known}")
    return parse(StudySettings, str(path), read_yaml(path))


def span_cells(study: StudySettings, params: dict[str, Any]) -> list[Cell]:
    """The cells of the grid, the last axis varying fastest, then the folds.

    Args:
        study: what varies.
        params: all parameters before the study changes any.

    Raises:
        UserError: the study names a parameter that does not exist, or two cells alike.
    """
    cells = []
    for values in itertools.product(*study.axes.values()):
        labels = dict(zip(study.axes, values, strict=True))
        if any(left_out.items() <= labels.items() for left_out in study.leave_out):
            continue
        places = study.places(labels)
        changed = _apply(params, places)
        of_axes = (study.axes[axis][name] for axis, name in labels.items())
        changes = dict(itertools.chain.from_iterable(items.items() for items in of_axes))
        for fold in [None] if study.folds is None else range(study.folds):
            split = {} if fold is None else {"split.folds": study.folds, "split.fold": fold}
            cells.append(Cell(labels, changes | split, replace_values(changed, split), fold))
    names = [cell.name for cell in cells]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(
            f"axes: got values whose names differ in signs only ({', '.join(sorted(twice))}), "
            "expected names that tell the cells apart; rename them"
        )
    return cells


def _apply(params: dict[str, Any], places: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The parameters with the changes of all places, one after the other."""
    for place, changes in places.items():
        try:
            params = replace_values(params, changes)
        except UserError as error:
            raise UserError(f"{place}: {error}") from None
    return params
