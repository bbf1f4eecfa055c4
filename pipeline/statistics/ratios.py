"""Scores that are ratios of sums over test groups, so that groups can be drawn again and again.

A pooled IoU is a sum of hits over a sum of unions; a mean over photos is a sum of the photos'
scores over their number. Both are known for any draw of groups once each group's two sums are.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.io.seeding import numpy_rng


@dataclass(frozen=True)
class Ratios:
    """The two sums of each seed, class and group: float S×C×G.

    The score of a seed is the mean over the classes of Σ numerator / Σ denominator over the
    groups; a class whose denominator is 0 has no score and is left out.
    """

    numerator: np.ndarray
    denominator: np.ndarray

    @property
    def total_groups(self) -> int:
        """G."""
        return self.numerator.shape[2]

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


def draw_groups(total_groups: int, resamples: int, seed: int) -> np.ndarray:
    """How often each group is in each draw with replacement, float B×G.

    One result serves all runs on the same test photos: they are judged on the same draws.
    """
    share = np.full(total_groups, 1 / total_groups)
    rng = numpy_rng(seed, "report", "bootstrap")
    return rng.multinomial(total_groups, share, size=resamples).astype(float)
