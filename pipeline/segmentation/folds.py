"""Folds of the real training pairs, so that no segmenter judges what it was trained on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.data.pairs import Pairs
from pipeline.data.splits import assign
from pipeline.io.errors import UserError
from pipeline.io.seeding import numpy_rng


def assign_folds(frame: pd.DataFrame, total_folds: int, seed: int) -> np.ndarray:
    """The fold (int, 0 … K−1) of each pair; whole groups go to one fold.

    The folds come near each other in their numbers of pairs and of pairs with each class.

    Args:
        frame: rows of the prepared set's manifest: `id`, `group`, `classes`.
        total_folds: K.
        seed: the project's seed.

    Raises:
        UserError: fewer groups than folds.
    """
    groups = frame["group"].astype(object).where(frame["group"].notna(), frame["id"])
    names, member = np.unique(groups.astype(str), return_inverse=True)
    if len(names) < total_folds:
        raise UserError(
            f"filter.folds: got {total_folds}, expected at most {len(names)}, as the training "
            f"photos form {len(names)} groups; take fewer folds, null for none, or groups that "
            "part the photos further (split.group_pattern, split.group_csv)"
        )
    classes = sorted({name for shown in frame["classes"] for name in shown})
    shows = [[1, *(name in shown for name in classes)] for shown in map(set, frame["classes"])]
    figures = np.zeros((len(names), 1 + len(classes)))
    np.add.at(figures, member, np.array(shows, dtype=float))
    equal = np.full(total_folds, 1 / total_folds)
    return assign(figures, equal, numpy_rng(seed, "filter-folds"))[member]


def folds_of_masks(
    mask_ids: Sequence[str], train_ids: Sequence[str], folds: np.ndarray
) -> list[int | None]:
    """The fold of the training photo that each mask was made of; None for a mask of no photo.

    Args:
        mask_ids: of the synthetic pairs: a training photo's id, or a name of its own.
        train_ids: of the training photos.
        folds: of the training photos.
    """
    known = dict(zip(train_ids, folds.tolist(), strict=True))
    return [known.get(mask_id) for mask_id in mask_ids]


def take(pairs: Pairs, places: Sequence[int] | np.ndarray) -> Pairs:
    """The pairs at these places."""
    return pairs.at(np.asarray(places, dtype=int))
