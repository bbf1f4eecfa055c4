"""Training, validation and test part, cut by group: no object is photographed on two sides.

Groups differ in size and in what they show, so they are assigned such that each part comes near
its share of the photos and of the photos of every class: a random assignment from the seed,
improved by moving and exchanging groups until no step brings it nearer; the best of a few.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from pipeline.data.folder_settings import require_group
from pipeline.data.groups import Groups, groups_by_pattern, groups_from_csv
from pipeline.io.errors import UserError
from pipeline.io.params import Settings
from pipeline.io.seeding import numpy_rng

PARTS = ("train", "val", "test")
_MAX_ROUNDS = 20
# Enough to avoid a poor draw, few enough that another seed still gives another split.
_TRIALS = 5
# Beyond, the first trial already comes within a photo of every share.
_MANY_UNITS = 500
# Beyond, comparing each unit with each would take minutes, and moves alone come as near.
_MOST_EXCHANGED = 4000


class SplitSettings(Settings):
    """How the photos are cut into parts.

    Attributes:
        train, val, test: shares of the photos; they add up to 1. With `folds` the test part is
            one fold and `train`, `val` give the proportion in which the rest is cut.
        group_pattern: regular expression whose first group, searched in the file's name or else
            in its path, says what a photo shows.
        group_csv: CSV file (image, group), relative to the data set. None and no pattern: every
            photo is a group of its own.
        folds: number of group folds; None = one hold-out.
        fold: the fold that is the test part, 0 … folds − 1.
    """

    train: float = Field(gt=0, lt=1)
    val: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    group_pattern: str | None = None
    group_csv: str | None = None
    folds: int | None = Field(default=None, ge=2)
    fold: int = Field(default=0, ge=0)

    # Whether a class may be missing in the training part: nothing could learn it.
    may_miss_classes: ClassVar[bool] = False

    @field_validator("test")
    @classmethod
    def _whole(cls, test: float, info: ValidationInfo) -> float:
        rest = 1 - info.data.get("train", 0) - info.data.get("val", 0)
        if {"train", "val"} <= set(info.data) and abs(rest - test) > 1e-6:
            raise ValueError(f"{rest:.6g}, so that train, val and test add up to 1")
        return test

    @field_validator("group_pattern")
    @classmethod
    def _has_group(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else require_group(pattern)

    @field_validator("group_csv")
    @classmethod
    def _one_source(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is not None and info.data.get("group_pattern") is not None:
            raise ValueError("null, as split.group_pattern is given; use one of the two")
        return path

    @field_validator("fold")
    @classmethod
    def _fold_exists(cls, fold: int, info: ValidationInfo) -> int:
        folds = info.data.get("folds")
        if folds is not None and fold >= folds:
            raise ValueError(f"0 to {folds - 1}, as split.folds is {folds}")
        return fold


class ExternalSplitSettings(SplitSettings):
    """How an external set is cut: what is not needed has the share 0.

    Attributes:
        train, val: shares to finetune on, and to choose the best weights by.
    """

    train: float = Field(ge=0, lt=1)
    val: float = Field(ge=0, lt=1)
    test: float = Field(gt=0, le=1)
    may_miss_classes: ClassVar[bool] = True  # its segmenters have learned them elsewhere

    @field_validator("folds")
    @classmethod
    def _rest_is_cut(cls, folds: int | None, info: ValidationInfo) -> int | None:
        if folds is not None and not (info.data.get("train", 1) and info.data.get("val", 1)):
            raise ValueError("null, as train or val is 0")
        return folds


@dataclass(frozen=True)
class Split:
    """The part of each photo, what was kept together, and what to tell the user."""

    parts: list[str]
    unit: str
    notes: list[str]


def find_groups(sources: list[str], settings: SplitSettings, root: Path) -> Groups:
    """The group of each photo; the photo itself where no groups are given."""
    if settings.group_pattern is not None:
        return groups_by_pattern(sources, settings.group_pattern)
    if settings.group_csv is not None:
        return groups_from_csv(sources, root / settings.group_csv)
    return {source: source for source in sources}, []


def split_photos(
    groups: list[str], figures: np.ndarray, settings: SplitSettings, seed: int
) -> Split:
    """Assign each photo to a part.

    Args:
        groups: the group of each of N photos.
        figures: N×F, what else is to be shared out: which categories occur, pixels of each class.
        settings: shares and folds.
        seed: the run's seed.

    Raises:
        UserError: there are fewer groups than the split needs.
    """
    assert len(groups) == len(figures) and len(groups) > 0
    total_groups = len(set(groups))
    needed = max(len(_parts_in_use(settings)), settings.folds or 0)
    unit, notes = "group", []
    if total_groups < needed:
        raise UserError(_too_few(groups, needed, settings))
    if total_groups == len(groups):
        unit = "photo"
        notes.append(
            "every photo is a group of its own (split.group_pattern and split.group_csv name no "
            "photos that belong together)"
        )
    elif total_groups < 4 * needed:
        notes.append(f"only {total_groups} groups: figures swing with the draw, use split.folds")
    parts = _cut(groups, figures, settings, seed)
    assert_no_group_on_two_sides(groups, parts)
    return Split(parts, unit, notes)


def _too_few(groups: list[str], needed: int, settings: SplitSettings) -> str:
    """What to tell of groups that cannot be split; a split by photo would flatter every figure."""
    in_use = [PARTS[part] for part in _parts_in_use(settings)]
    what = f"split.folds = {settings.folds}" if settings.folds else " and ".join(in_use)
    total, photos = len(set(groups)), len(groups)
    told = f"at least {needed} for {what}"
    if total == photos:
        return (
            f"split: got {photos} photo{'s' * (photos != 1)}, expected {told}, as no photo lies on "
            "two sides; label more photos"
        )
    where = "split.group_pattern" if settings.group_pattern is not None else "split.group_csv"
    shown = ", ".join(sorted(set(groups)))
    return (
        f"{where}: got {total} group{'s' * (total != 1)} of {photos} photos ({shown}), expected "
        f"{told}, as no group lies on two sides; photograph more objects, or set it to null to "
        "split by photo, if you accept that the same object lies on both sides and test figures "
        "flatter"
    )


def assert_no_group_on_two_sides(groups: list[str], parts: list[str]) -> None:
    """The invariant of a split by group."""
    sides = pd.DataFrame({"group": groups, "part": parts}).groupby("group")["part"].nunique()
    assert sides.max() == 1, sides[sides > 1].index.tolist()


def _parts_in_use(settings: SplitSettings) -> list[int]:
    """Indices into `PARTS` of those that have a share."""
    return [index for index, part in enumerate(PARTS) if getattr(settings, part) > 0]


def _cut(units: list[str], figures: np.ndarray, settings: SplitSettings, seed: int) -> list[str]:
    names, member = np.unique(units, return_inverse=True)
    sums = np.zeros((len(names), 1 + figures.shape[1]))
    np.add.at(sums, member, np.column_stack([np.ones(len(units)), figures]))
    if settings.folds is None:
        in_use = np.array(_parts_in_use(settings))
        shares = np.array([settings.train, settings.val, settings.test])[in_use]
        chosen = in_use[assign(sums, shares, numpy_rng(seed, "split"))]
        return [PARTS[part] for part in chosen[member]]
    equal = np.full(settings.folds, 1 / settings.folds)
    tested = assign(sums, equal, numpy_rng(seed, "folds")) == settings.fold
    if (~tested).sum() < 2:
        raise UserError(
            f"split.folds: got {settings.folds} folds of {len(names)} groups, expected at least 2 "
            f"groups beside fold {settings.fold} for train and val; photograph more objects"
        )
    shares = np.array([settings.train, settings.val]) / (settings.train + settings.val)
    rest = assign(sums[~tested], shares, numpy_rng(seed, "split", settings.fold))
    parts = np.full(len(names), PARTS.index("test"))
    parts[~tested] = rest
    return [PARTS[part] for part in parts[member]]


def assign(figures: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Assign U units to P parts near their shares of every figure.

    The cost of an assignment is the sum over parts and figures of (share held − share wanted)².

    Args:
        figures: U×F, what each unit adds (photos, photos with class 1, …).
        shares: P, adding up to 1.
        rng: decides the order of assignment.

    Returns:
        int U, the part of each unit. No part is empty (U ≥ P is required).
    """
    assert len(figures) >= len(shares), (len(figures), len(shares))
    totals = figures.sum(axis=0)
    weights = figures / np.where(totals > 0, totals, 1)  # U×F, each column adds up to 1
    target = np.outer(shares, totals > 0)  # P×F
    total_trials = 1 if len(weights) > _MANY_UNITS else _TRIALS
    trials = [_assign_once(weights, target, rng) for _ in range(total_trials)]
    costs = [cost for cost, _ in trials]
    return trials[costs.index(min(costs))][1]


def _assign_once(
    weights: np.ndarray, target: np.ndarray, rng: np.random.Generator
) -> tuple[float, np.ndarray]:
    """Cost and parts of one random order: each unit to where most is wanting, then improved."""
    excess = -target  # P×F, share held − share wanted
    chosen = np.empty(len(weights), int)
    for unit in rng.permutation(len(weights)):
        part = int(np.argmin(np.round((weights[unit] * excess).sum(axis=1), 12)))
        chosen[unit] = part
        excess[part] += weights[unit]
    _fill_empty_parts(weights, excess, chosen)
    improve = _improve if len(chosen) <= _MOST_EXCHANGED else _move
    for _ in range(_MAX_ROUNDS):
        if not improve(weights, excess, chosen):
            break
    return round(float((excess**2).sum()), 12), chosen


def _fill_empty_parts(weights: np.ndarray, excess: np.ndarray, chosen: np.ndarray) -> None:
    """Give each empty part the lightest unit of the part that has most; in place."""
    for part in range(len(excess)):
        counts = np.bincount(chosen, minlength=len(excess))
        if counts[part] == 0:
            members = np.flatnonzero(chosen == counts.argmax())
            unit = members[weights[members].sum(axis=1).argmin()]
            _shift(weights[unit], excess, int(chosen[unit]), part)
            chosen[unit] = part


def _improve(weights: np.ndarray, excess: np.ndarray, chosen: np.ndarray) -> bool:
    """One round in which each unit moves, or changes places, where that lowers the cost most.

    Taking x from part p to part q changes the cost by 2|x|² + 2x·(excess_q − excess_p).
    In place; returns whether anything changed.
    """
    changed = False
    for unit in range(len(chosen)):
        own = int(chosen[unit])
        difference = weights[unit] - weights  # U×F
        exchange = _change(difference, excess[chosen] - excess[own])
        exchange[chosen == own] = 0.0
        move = _change(weights[unit][None], excess - excess[own])
        move[own] = 0.0
        if (chosen == own).sum() == 1:
            move[:] = 0.0  # would leave the part empty
        other, part = int(exchange.argmin()), int(move.argmin())
        if min(exchange[other], move[part]) >= 0:
            continue
        changed = True
        if move[part] <= exchange[other]:
            _shift(weights[unit], excess, own, part)
            chosen[unit] = part
        else:
            part = int(chosen[other])
            _shift(difference[other], excess, own, part)
            chosen[unit], chosen[other] = part, own
    return changed


def _move(weights: np.ndarray, excess: np.ndarray, chosen: np.ndarray) -> bool:
    """As `_improve`, without exchanges: a round takes as long as there are units."""
    counts = np.bincount(chosen, minlength=len(excess))
    changed = False
    for unit, own in enumerate(chosen.tolist()):
        move = _change(weights[unit][None], excess - excess[own])
        move[own] = 0.0
        part = int(move.argmin())
        if move[part] < 0 and counts[own] > 1:
            changed = True
            _shift(weights[unit], excess, own, part)
            chosen[unit] = part
            counts[own] -= 1
            counts[part] += 1
    return changed


def _change(moved: np.ndarray, gap: np.ndarray) -> np.ndarray:
    # Rounded, so that ties fall the same way on every machine and no step is taken for nothing.
    return np.round(2 * (moved**2).sum(axis=1) + 2 * (moved * gap).sum(axis=1), 12)


def _shift(moved: np.ndarray, excess: np.ndarray, source: int, target: int) -> None:
    excess[source] -= moved
    excess[target] += moved
