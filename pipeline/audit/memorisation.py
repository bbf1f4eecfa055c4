"""Whether synthetic photos are copies of training photos.

Each synthetic photo's nearest training photo, in pixels over flips and small shifts and in features
over flips, is held against the same of real photos that the model has not seen. A photo is
suspicious if it is nearer to the training photos than all but a stated share of the held-out ones
(a conformal test: Bates et al. 2023, "Testing for outliers with conformal p-values"; no
distribution is assumed, but that held-out photos are independent: photos of one object count as
one, and with few objects the rate is a rough one). Not distances are compared but scores: how much
nearer than is usual for both photos, as Carlini et al. (2023) divide by the distance to other
training photos.

A photo that was drawn for a training photo's mask shares its outlines with that one, so by pixels
it is nearest to it whatever the model learned. There it is compared with all other training photos
only; by features, which hardly see where an outline lies, with all. A model that paints a training
photo back into its own mask is found by features, and by `texture`.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.audit.chance import FEWEST_PHOTOS, fit_unrelated, habit, standardise
from pipeline.audit.fingerprints import fingerprints, learn_commonplace
from pipeline.audit.similarity import FLIPS, align, correlations, correlations_within
from pipeline.io.errors import UserError
from pipeline.models.photo_features import PhotoFeatures, photo_features

# Directions in which features are compared: more would be noise on small training sets.
_DIRECTIONS = 64


@dataclass(frozen=True)
class Features:
    """float32 N×1280, V×1280, M×1280 of training, held-out and synthetic photos.

    `flipped`: of the training photos, each of `FLIPS` in its order; the first is none.
    """

    flipped: list[np.ndarray]
    held_out: np.ndarray
    synthetic: np.ndarray


def flip_features(
    network: PhotoFeatures, train: np.ndarray, upright: np.ndarray
) -> list[np.ndarray]:
    """`Features.flipped` of photos uint8 N×H×W×3 whose features as they are are known."""
    return [
        upright if not axis else photo_features(network, np.flip(train, axis).copy())
        for axis in FLIPS.values()
    ]


def all_features(
    network: PhotoFeatures, train: np.ndarray, held_out: np.ndarray, synthetic: np.ndarray
) -> Features:
    """Of photos that nobody has looked at yet, uint8 N×H×W×3 each."""
    known, *others = (photo_features(network, each) for each in (train, held_out, synthetic))
    return Features(flip_features(network, train, known), *others)


@dataclass(frozen=True)
class Memorisation:
    """Result for M synthetic photos.

    Attributes:
        table: M rows in the photos' order. For each space (`pixel`, `feature`) the index of the
            `<space>_nearest` training photo, `<space>_similarity` (−1 … 1), `<space>_score`
            (against what is usual), `<space>_p` (share of held-out photos that are at least as
            near, never 0) and `<space>_suspicious`. Besides `suspicious` in any space; by pixels
            `expected_by_chance`, how many of as many unrelated pairs would be as near, and
            whether that makes it a `copy`; `flip`, `shift_down`, `shift_right`, how the nearest
            photo lies on it.
        held_out: the scores of the held-out photos, a column a space; without leaked ones.
        leaked: bool V, held-out photos that are copies of training photos themselves.
        summary: figures for a report, ready for JSON.
    """

    table: pd.DataFrame
    held_out: pd.DataFrame
    leaked: np.ndarray
    summary: dict[str, float | int]


def memorisation(
    train: np.ndarray,
    held_out: np.ndarray,
    synthetic: np.ndarray,
    features: Features,
    *,
    drawn_for: np.ndarray | None = None,
    false_alarms: float = 0.05,
    false_copies: float = 0.05,
) -> Memorisation:
    """Compare synthetic photos with the training photos.

    Args:
        train: uint8 N×H×W×3, what the model was trained on.
        held_out: uint8 V×H×W×3, real photos that it was not: validation photos, never test photos.
        synthetic: uint8 M×H×W×3.
        features: of the same photos.
        drawn_for: int M, the training photo whose mask each was drawn for, −1 = none; None = none
            of them.
        false_alarms: share of unremarkable photos that may be called suspicious, half of it by
            each space. With few held-out photos the least that can be had is 2/(V + 1); the
            summary says which rate holds.
        false_copies: how many unrelated photos may be called a copy, expected over all M.

    Raises:
        UserError: too few training photos, or held-out ones that are no copies of them, to tell
            what is usual.
    """
    for name, photos in (("training", train), ("held-out", held_out)):
        if len(photos) < FEWEST_PHOTOS:
            raise UserError(
                f"memorisation: got {len(photos)} {name} photos, expected at least "
                f"{FEWEST_PHOTOS}; raise split.train or split.val"
            )
    if drawn_for is None:
        drawn_for = np.full(len(synthetic), -1)
    pixel, aligned = _in_pixels(train, held_out, synthetic, drawn_for)
    unrelated = fit_unrelated(pixel.held_out)
    by_chance = unrelated.expected(pixel.held_out.max(axis=1), pixel.held_out.size)
    leaked = by_chance <= false_copies
    unseen = int((~leaked).sum())
    if unseen < FEWEST_PHOTOS:
        raise UserError(
            f"memorisation: got {leaked.sum()} of {len(leaked)} held-out photos that are copies of "
            f"training photos, expected at least {FEWEST_PHOTOS} that are none; see audit-split, "
            "and give split.group_csv"
        )
    spaces = {"pixel": pixel, "feature": _in_features(features)}
    spaces = {
        name: replace(space, held_out=space.held_out[~leaked]) for name, space in spaces.items()
    }
    rank = max(1, int(false_alarms / 2 * (unseen + 1)))
    table = pd.concat([_column(name, space, rank) for name, space in spaces.items()], axis=1)
    table = table.join(aligned)
    table["expected_by_chance"] = unrelated.expected(table["pixel_score"], pixel.scores.size)
    table["copy"] = table["expected_by_chance"] <= false_copies
    table["suspicious"] = table[[f"{name}_suspicious" for name in spaces]].any(axis=1)
    usual = pd.DataFrame({name: space.held_out.max(axis=1) for name, space in spaces.items()})
    summary = _summary(table, usual, rank) | {"leaked": int(leaked.sum())}
    return Memorisation(table, usual, leaked, summary)


@dataclass(frozen=True)
class _Space:
    """How near photos are to N training photos: raw 0 … 1, and as scores."""

    similarity: np.ndarray  # M×N, of the synthetic photos
    scores: np.ndarray  # M×N
    held_out: np.ndarray  # V×N, scores of the held-out photos


def _space(within: np.ndarray, held_out: np.ndarray, synthetic: np.ndarray) -> _Space:
    """Scores of similarities N×N among the training photos, and V×N and M×N to them."""
    others = within.astype(np.float64)
    np.fill_diagonal(others, np.nan)
    columns = habit(others)
    return _Space(
        synthetic,
        standardise(synthetic, habit(synthetic), columns),
        standardise(held_out, habit(held_out), columns),
    )


def _in_pixels(
    train: np.ndarray, held_out: np.ndarray, synthetic: np.ndarray, drawn_for: np.ndarray
) -> tuple[_Space, pd.DataFrame]:
    """The comparison of fingerprints, and how the nearest photos lie on the synthetic ones."""
    common = learn_commonplace(train)
    known, unseen, drawn = (fingerprints(photos, common) for photos in (train, held_out, synthetic))
    space = _space(
        correlations_within(known), correlations(unseen, known), correlations(drawn, known)
    )
    photos = np.flatnonzero(drawn_for >= 0)
    space.scores[photos, drawn_for[photos]] = -np.inf
    aligned = align(drawn, known[space.scores.argmax(axis=1)])
    return space, aligned.drop(columns="correlation")


def _in_features(features: Features) -> _Space:
    """The comparison of features, highest over the flips of the training photos."""
    known = features.flipped[0]
    centre = known.mean(axis=0)
    spread, axes = np.linalg.svd(known - centre, full_matrices=False)[1:]
    kept = min(_DIRECTIONS, int((spread > 1e-6 * spread[0]).sum()))
    whiten = axes[:kept].T / spread[:kept]  # 1280×K

    def directions(features: np.ndarray) -> np.ndarray:
        x = (features - centre) @ whiten
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)

    flipped = [directions(each) for each in features.flipped]
    unseen, drawn = directions(features.held_out), directions(features.synthetic)
    return _space(
        *(np.max([x @ f.T for f in flipped], axis=0) for x in (flipped[0], unseen, drawn))
    )


def _column(name: str, space: _Space, rank: int) -> pd.DataFrame:
    """The columns of one space: nearest training photo, how near, and whether that is unusual."""
    nearest = space.scores.argmax(axis=1)
    photos = np.arange(len(nearest))
    own = space.scores[photos, nearest]
    usual = space.held_out.max(axis=1)
    at_least = (usual[None] >= own[:, None]).sum(axis=1)
    return pd.DataFrame(
        {
            f"{name}_nearest": nearest,
            f"{name}_similarity": space.similarity[photos, nearest],
            f"{name}_score": own,
            f"{name}_p": (1 + at_least) / (1 + len(usual)),
            f"{name}_suspicious": at_least < rank,
        }
    )


def _summary(table: pd.DataFrame, usual: pd.DataFrame, rank: int) -> dict[str, float | int]:
    figures: dict[str, float | int] = {
        "synthetic": len(table),
        "held_out": len(usual),
        "false_alarm_rate": 2 * rank / (len(usual) + 1),
        "copies": int(table["copy"].sum()),
        "suspicious": int(table["suspicious"].sum()),
    }
    for name in usual:
        drawn = table[f"{name}_score"]
        wins = stats.mannwhitneyu(drawn, usual[name]).statistic
        figures[f"{name}_suspicious"] = int(table[f"{name}_suspicious"].sum())
        # probability that a synthetic photo is nearer to the training photos than a held-out one
        figures[f"{name}_nearer"] = float(wins / (len(drawn) * len(usual)))
    return figures
