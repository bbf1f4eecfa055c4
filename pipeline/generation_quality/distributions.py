"""How near one set of photos is to another: KID, FID, precision and recall, colours.

KID is Bińkowski et al. 2018 (arXiv 1801.01401, eq. 4 with k(x, y) = (xᵀy/d + 1)³), FID Heusel et
al. 2017 (arXiv 1706.08500, eq. 6), precision and recall Kynkäänniemi et al. 2019 (arXiv
1904.06991, eq. 1 and 2). torch-fidelity computes them. Its front door, `calculate_metrics`, would
look at every photo again for each comparison, or keep features as pickles outside the project, so
the functions behind it are given our features. These are EfficientNet-Lite0's and not Inception's:
the figures compare sets of photos with each other, not with figures of papers.
"""

from collections.abc import Callable

import torch
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_kid import (
    KEY_METRIC_KID_MEAN,
    KEY_METRIC_KID_STD,
    kid_features_to_metric,
)
from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

from pipeline.evaluation.colour_divergence import colour_divergence
from pipeline.generation_quality.measured import Measured
from pipeline.generation_quality.photos import Photos
from pipeline.generation_quality.settings import QualitySettings
from pipeline.io.seeding import derive_seed

# Of photos, on either side. Even without bias, means of fewer features say little.
FID_NEEDS = 2048
FID_WARNING = (
    f"WARNING: fewer than {FID_NEEDS:,} photos on a side, so FID is too large, the more so the "
    "fewer there are; its references are of other counts and cannot be compared: read KID"
)
PRC_NOTE = (
    "share of photos within reach of k neighbours; depends on the counts of both sides, so few "
    "photos make both shares uncertain"
)

# of photos, against training photos
Measure = Callable[[Photos, Photos, QualitySettings, int], Measured]


def kid(photos: Photos, real: Photos, settings: QualitySettings, seed: int) -> Measured:
    """Unbiased squared MMD of the features, mean and standard deviation over subsets.

    It may be negative. A subset holds at most half of the smaller set. Customary subsets of 1,000
    would hold all photos of a small set every time and deviate by nothing; halves deviate about
    as much as the figure of the whole set does from draw to draw of its photos (the delete-half
    jackknife). Photos count as independent: with several photos of each object it is too small.
    """
    size = min(settings.kid_subset_size, len(photos) // 2, len(real) // 2)
    if size < 2:
        return _too_few(photos, real, 4)
    found = kid_features_to_metric(
        _features(photos),
        _features(real),
        kid_subsets=settings.kid_subsets,
        kid_subset_size=size,
        rng_seed=derive_seed(seed, "KID") % 2**32,
        verbose=False,
    )
    note = f"{settings.kid_subsets} subsets of {size} photos"
    mean, deviation = found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD]
    return Measured(mean, len(photos), deviation, n_against=len(real), note=note)


def fid(photos: Photos, real: Photos, settings: QualitySettings, seed: int) -> Measured:
    """Fréchet distance of two normal distributions with the features' means and covariances."""
    fewest = min(len(photos), len(real))
    if fewest < 2:
        return _too_few(photos, real, 2)
    sides = [fid_features_to_statistics(_features(side)) for side in (photos, real)]
    found = fid_statistics_to_metric(*sides, verbose=False)[KEY_METRIC_FID]
    note = FID_WARNING if fewest < FID_NEEDS else ""
    return Measured(found, len(photos), n_against=len(real), note=note)


def precision(photos: Photos, real: Photos, settings: QualitySettings, seed: int) -> Measured:
    """Share of the photos that lie in the manifold of the training photos.

    The manifold is the union of balls, around each photo one that reaches its k-th neighbour. With
    few photos in 1,280 dimensions the balls are wide, and an outlier's ball is widest of all and
    takes in what resembles nothing (Naeem et al. 2020, section 3): precision is flattered, and
    recall rises with the number of synthetic photos whatever they show. So these are coarse
    figures below some thousand photos, and only comparable at the same counts.
    """
    return _precision_recall(photos, real, settings, KEY_METRIC_PRECISION)


def recall(photos: Photos, real: Photos, settings: QualitySettings, seed: int) -> Measured:
    """Share of the training photos that lie in the manifold of the photos; see `precision`."""
    return _precision_recall(photos, real, settings, KEY_METRIC_RECALL)


def _precision_recall(
    photos: Photos, real: Photos, settings: QualitySettings, key: str
) -> Measured:
    if min(len(photos), len(real)) <= settings.neighbours:
        return _too_few(photos, real, settings.neighbours + 1)
    found = prc_features_to_metric(
        _features(photos), _features(real), prc_neighborhood=settings.neighbours, verbose=False
    )
    return Measured(found[key], len(photos), n_against=len(real), note=PRC_NOTE)


def colours(photos: Photos, real: Photos, settings: QualitySettings, seed: int) -> Measured:
    """Jensen-Shannon divergence of the colours in nats, 0 to ln 2."""
    if min(len(photos), len(real)) < 1:
        return _too_few(photos, real, 1)
    found = colour_divergence(photos.colours.mean(axis=0), real.colours.mean(axis=0))
    return Measured(found, len(photos), n_against=len(real), note="in nats, at most 0.693")


MEASURES: dict[str, Measure] = {
    "kid": kid,
    "fid": fid,
    "precision": precision,
    "recall": recall,
    "colour_divergence": colours,
}


def _features(photos: Photos) -> torch.Tensor:
    return torch.from_numpy(photos.features).double()  # float64 N×FEATURES


def _too_few(photos: Photos, real: Photos, needed: int) -> Measured:
    note = f"{len(photos)} photos against {len(real)}, needs {needed} on each side"
    return Measured(None, len(photos), n_against=len(real), note=note)
