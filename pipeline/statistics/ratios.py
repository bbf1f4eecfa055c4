"""Scores that are ratios of sums over test groups, so that groups can be drawn again and again.

A pooled IoU is a sum of hits over a sum of unions; a mean over photos is a sum of the photos'
scores over their number. Both are known for any draw of groups once each group's two sums are.

So are those of several folds, whose test groups are pooled: a mean of the folds' own ratios would
be biased, as each has few groups below its fraction (Forman and Scholz 2010, "Apples-to-apples in
cross-validation studies").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.io.seeding import numpy_rng

AXES, SUMS = ("seed", "class_index", "group"), ("numerator", "denominator")


@dataclass(frozen=True)
class Ratios:
    """The two sums of each seed, class and group: float S×C×G.

    The score of a seed is the mean over the classes of Σ numerator / Σ denominator over the
    groups; a class whose denominator is 0 has no score and is left out. `folds` says how many of
    the groups, in their order, each fold tested; () = all of them were tested by one training.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    folds: tuple[int, ...] = ()

    @property
    def total_groups(self) -> int:
        """G."""
        return self.numerator.shape[2]

    @property
    def strata(self) -> tuple[int, ...]:
        """How many groups are drawn from among each other: those of each fold, or all."""
        return self.folds or (self.total_groups,)

    def scores(self) -> np.ndarray:
        """The score of each seed on all groups, float S."""
        return self.drawn_scores(np.ones((1, self.total_groups)))[0]

    def drawn_scores(self, draws: np.ndarray) -> np.ndarray:
        """The score of each draw and seed, float B×S; NaN where no class has one.

        Args:
            draws: float B×G, how often each group is in each draw.
        """
        upper, lower = (
            np.einsum("bg,scg->bsc", draws, sums) for sums in (self.numerator, self.denominator)
        )
        ratio = np.divide(upper, lower, out=np.zeros_like(upper), where=lower > 0)
        shown = (lower > 0).sum(axis=2)
        none = np.full(shown.shape, np.nan)
        return np.divide(ratio.sum(axis=2), shown, out=none, where=shown > 0)


def pool_folds(folds: Sequence[Ratios]) -> Ratios:
    """The groups of all folds side by side; seed k is that of every fold."""
    sums = [np.concatenate(parts, axis=2) for parts in zip(*map(_sums, folds), strict=True)]
    return Ratios(*sums, tuple(fold.total_groups for fold in folds))


def draw_groups(strata: Sequence[int], resamples: int, seed: int) -> np.ndarray:
    """How often each group is in each draw with replacement, float B×G.

    One result serves all runs on the same test photos: they are judged on the same draws.

    Args:
        strata: `Ratios.strata`; a draw holds as many groups of each.
        resamples: B.
        seed: the project's.
    """
    rng = numpy_rng(seed, "report", "bootstrap")
    drawn = [rng.multinomial(size, np.full(size, 1 / size), size=resamples) for size in strata]
    return np.concatenate(drawn, axis=1).astype(float)


def to_rows(ratios: Ratios, seeds: Sequence[int], groups: Sequence[str]) -> pd.DataFrame:
    """A row for each seed, class and group: `seed`, `class_index`, `group` and the two sums.

    Args:
        ratios: of one run.
        seeds: S.
        groups: names of the G groups, in the order of `ratios`.
    """
    classes = range(ratios.numerator.shape[1])
    index = pd.MultiIndex.from_product([seeds, classes, groups], names=AXES)
    content = {name: sums.ravel() for name, sums in zip(SUMS, _sums(ratios), strict=True)}
    return pd.DataFrame(content, index=index).reset_index()


def from_rows(rows: pd.DataFrame) -> Ratios:
    """The inverse of `to_rows`; seeds and groups are in order."""
    ordered = rows.sort_values(list(AXES))
    shape = [ordered[name].nunique() for name in AXES]
    return Ratios(*(ordered[name].to_numpy().reshape(shape) for name in SUMS))


def _sums(ratios: Ratios) -> tuple[np.ndarray, np.ndarray]:
    return ratios.numerator, ratios.denominator
