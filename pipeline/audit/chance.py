"""How many pairs of unrelated photos would be as alike as this one: the threshold of the audit.

An a-contrario decision (Desolneux, Moisan, Morel 2000): a pair is reported when, among as many
pairs of unrelated photos, fewer than ε pairs are expected to be so alike. What unrelated photos
look like is learned from the set itself, without labels:

1. Fisher's z of the correlation, which opens up the scale near 1.
2. Standardised by what is usual for each of the two photos, and the lower of both counts: some
   photos resemble all others (the symmetric normalisation of speaker verification, Kenny 2010,
   which takes the mean, lets such a photo stand out for everyone else).
3. A correlation is the highest over flips and shifts, and a maximum of many follows Gumbel's
   distribution. It is fitted to quantiles of the bulk, so the related pairs in the tail, which
   are to be found, do not bend it.

Median and quartiles hold as long as a photo is unrelated to three quarters of the others.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

# The bulk that the distribution is fitted to.
_LOW, _HIGH = 0.1, 0.9
# With fewer photos the quartiles of a photo's correlations say nothing.
FEWEST_PHOTOS = 12
# Keeps Fisher's z finite for identical photos, above what any resampled copy reaches.
_HIGHEST = 0.9999


@dataclass(frozen=True)
class Habit:
    """How alike each of N photos is to unrelated ones.

    Attributes:
        centre, spread: float N, median and interquartile range of Fisher's z.
    """

    centre: np.ndarray
    spread: np.ndarray


def habit(correlations: np.ndarray) -> Habit:
    """The habit of the N photos in the rows of N×M correlations; NaN entries do not count."""
    low, centre, high = np.nanquantile(fisher(correlations), [0.25, 0.5, 0.75], axis=1)
    # a photo without detail correlates 0 with all: no spread, and no score either
    return Habit(centre, np.maximum(high - low, 1e-6))


def fisher(correlations: np.ndarray) -> np.ndarray:
    """Fisher's z, float64, of correlations −1 … 1."""
    return np.arctanh(np.clip(correlations.astype(np.float64), -_HIGHEST, _HIGHEST))


def standardise(correlations: np.ndarray, rows: Habit, columns: Habit) -> np.ndarray:
    """Scores float64 N×M: by how many spreads a pair is more alike than either photo's habit."""
    z = fisher(correlations)
    by_row = (z - rows.centre[:, None]) / rows.spread[:, None]
    by_column = (z - columns.centre) / columns.spread
    return np.minimum(by_row, by_column)


def scores_within(correlations: np.ndarray) -> np.ndarray:
    """Scores N×N of the correlations among N photos; the diagonal is NaN."""
    others = correlations.astype(np.float64)
    np.fill_diagonal(others, np.nan)
    own = habit(others)
    return standardise(others, own, own)


@dataclass(frozen=True)
class Unrelated:
    """Gumbel's distribution of the scores of unrelated photos."""

    location: float
    scale: float

    def expected(self, scores: np.ndarray, total_pairs: int) -> np.ndarray:
        """How many of `total_pairs` unrelated pairs are expected to score as high or higher."""
        return total_pairs * stats.gumbel_r.sf(scores, self.location, self.scale)


def fit_unrelated(scores: np.ndarray) -> Unrelated:
    """The distribution with the 10 % and 90 % quantiles of scores of any shape (NaN left out)."""
    low, high = np.nanquantile(scores, [_LOW, _HIGH])
    unit_low, unit_high = stats.gumbel_r.ppf([_LOW, _HIGH])
    scale = max((high - low) / (unit_high - unit_low), 1e-6)
    return Unrelated(float(low - scale * unit_low), float(scale))
