"""The U-Nets that judge synthetic pairs: one trained on all real pairs, or one for each fold.

A segmenter knows its training photos by heart: it finds the defects of a copied photo wherever
the copy's mask has them, so scores by the thesis's single U-Net favour copies. Judges trained
without the photo that a mask was made of have no such memory.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.pairs import Pairs, load_pairs
from pipeline.io.images import sha256_of
from pipeline.io.manifests import MANIFEST, read_classes, read_split
from pipeline.io.seeding import derive_seed
from pipeline.io.store import Store, open_store
from pipeline.models.segmenters import NetworkSettings, Segmenter
from pipeline.segmentation.filtering import SCORES
from pipeline.segmentation.folds import assign_folds, folds_of_masks, take
from pipeline.segmentation.pair_scores import score_pairs
from pipeline.segmentation.ranking import defect_shares
from pipeline.segmentation.training import TrainingData, TrainingSettings, train_segmenter

STAGE = "filter-unet"


@dataclass(frozen=True)
class Judgement:
    """What the judges say.

    synthetic: `id`, `SCORES` and `fold` (nullable integer) of each synthetic pair.
    real: of each training pair by the judge that was trained without it: `id`, `defect_share`,
        `SCORES` and `fold`, which is what pairs score whose masks are right; None = the one judge
        knows them all.
    """

    synthetic: pd.DataFrame
    real: pd.DataFrame | None


@dataclass(frozen=True)
class Judges:
    """How many U-Nets there are, and how they are trained."""

    network: NetworkSettings
    training: TrainingSettings
    total_folds: int | None  # None = one U-Net, trained on all real pairs
    seed: int

    def score(self, prepared: Path, pairs: Pairs, mask_ids: list[str]) -> Judgement:
        """Train on the prepared set, going on where a killed run ended, and score.

        Args:
            prepared: folder of the real pairs; the validation pairs belong to no fold.
            pairs: the synthetic pairs.
            mask_ids: of each of them, the training photo that its mask was made of, or a name of
                the mask's own.

        Raises:
            UserError: fewer groups of training photos than folds; files that cannot be used.
        """
        photos = read_split(prepared, "train")
        train, val = (load_pairs(prepared, rows) for rows in (photos, read_split(prepared, "val")))
        data = TrainingData(train, val, len(read_classes(prepared)), augmentation=None)
        folds = self.total_folds and assign_folds(photos, self.total_folds, self.seed)
        key = {
            "network": self.network.model_dump(),
            "training": self.training.model_dump(),
            "seed": self.seed,
            "prepared": sha256_of(prepared / MANIFEST),
        }
        with open_store(STAGE, key) as store:
            if folds is None:
                judge = self._train(store, data, self.seed, "unet")
                scores = score_pairs(judge, pairs, data.total_classes)
                nobody = pd.array([None] * len(pairs), dtype="Int64")
                return Judgement(scores.assign(fold=nobody), real=None)
            train_once = cache(lambda fold: self._train_without(store, data, folds, fold))
            synthetic, real = (
                score_by_strangers(train_once, self.total_folds, own, of_set, data.total_classes)
                for own, of_set in (
                    (folds_of_masks(mask_ids, train.ids, folds), pairs),
                    (folds.tolist(), train),
                )
            )
            return Judgement(synthetic, defect_shares(train).merge(real, on="id"))

    def _train_without(
        self, store: Store, data: TrainingData, folds: np.ndarray, fold: int
    ) -> Segmenter:
        others = replace(data, train=take(data.train, np.flatnonzero(folds != fold)))
        seed = derive_seed(self.seed, "filter-fold", fold)
        return self._train(store, others, seed, f"unet without fold {fold} of {self.total_folds}")

    def _train(self, store: Store, data: TrainingData, seed: int, name: str) -> Segmenter:
        state, what = store.path / f"{name.replace(' ', '_')}.safetensors", f"{STAGE}: {name}"
        trained = train_segmenter("unet", self.network, self.training, data, seed, state, what)
        return trained.network


def score_by_strangers(
    train_without: Callable[[int], Segmenter],
    total_folds: int,
    folds: list[int | None],
    pairs: Pairs,
    total_classes: int,
) -> pd.DataFrame:
    """Score each pair by a segmenter trained without the fold of its mask.

    Args:
        train_without: gives the segmenter that was trained on all folds but this one.
        total_folds: K.
        folds: of each pair, the fold of its mask's photo. None where the mask belongs to no
            photo: such a pair gets the mean score of all K segmenters.
        pairs: the synthetic pairs.
        total_classes: background included.

    Returns:
        `id`, `SCORES` and `fold` (nullable integer) in the order of the pairs.
    """
    scored = []
    for fold in range(total_folds):
        asked = [place for place, own in enumerate(folds) if own in (fold, None)]
        if asked:
            scored.append(score_pairs(train_without(fold), take(pairs, asked), total_classes))
    means = pd.concat(scored).groupby("id")[list(SCORES)].mean()  # of one row, or of K
    return means.loc[pairs.ids].reset_index().assign(fold=pd.array(folds, dtype="Int64"))
