"""All figures on the quality of a synthetic set, from photos that no segmenter is tested on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.generation_quality.alignment import mean_agreement
from pipeline.generation_quality.distributions import MEASURES
from pipeline.generation_quality.diversity import draw_pairs, mean_distance, samples_of_one_mask
from pipeline.generation_quality.measured import Measured
from pipeline.generation_quality.photos import Photos, halves, look_at
from pipeline.generation_quality.settings import QualitySettings
from pipeline.generation_quality.table import Row
from pipeline.io.manifests import read_manifest, read_split
from pipeline.io.seeding import numpy_rng
from pipeline.models.perceptual import PerceptualDistance
from pipeline.models.photo_features import PhotoFeatures


@dataclass(frozen=True)
class Evaluation:
    """A synthetic set beside the prepared set that it was learnt from."""

    prepared: Path
    synthetic: Path
    settings: QualitySettings
    seed: int

    def look(self) -> dict[str, Photos]:
        """The photos `train`, `val` and `synthetic`, each looked at once.

        Raises:
            UserError: files that are missing, unreadable or changed.
        """
        network = PhotoFeatures().to(_device())

        def look(folder: Path, frame: pd.DataFrame, what: str) -> Photos:
            return look_at(folder, frame, network, self.settings.colour_bins, what)

        return {
            "train": look(self.prepared, read_split(self.prepared, "train"), "training photos"),
            "val": look(self.prepared, read_split(self.prepared, "val"), "validation photos"),
            "synthetic": look(self.synthetic, read_manifest(self.synthetic), "synthetic photos"),
        }

    def rows(
        self,
        photos: dict[str, Photos],
        judged: pd.DataFrame | None,
        judged_real: pd.DataFrame | None,
    ) -> list[Row]:
        """Every figure beside that of real photos.

        Args:
            photos: the result of `look`.
            judged: `defect_iou` and `defect_share` of the synthetic pairs; None = nobody judged
                them out of fold.
            judged_real: likewise of the training pairs.

        Raises:
            UserError: files that are missing, unreadable or changed.
        """
        return [
            *self._distribution_rows(**photos),
            *self._diversity_rows(),
            Row("alignment", mean_agreement(judged), mean_agreement(judged_real)),
        ]

    def _distribution_rows(self, train: Photos, val: Photos, synthetic: Photos) -> list[Row]:
        parts = halves(read_split(self.prepared, "train"), self.seed)
        one, other = (train.take(places) for places in parts)
        how = self.settings, self.seed
        return [
            Row(
                name,
                measure(synthetic, train, *how),
                reference=measure(val, train, *how),
                halves=measure(one, other, *how),
            )
            for name, measure in MEASURES.items()
        ]

    def _diversity_rows(self) -> list[Row]:
        network = PerceptualDistance().to(_device())
        train, synthetic = read_split(self.prepared, "train"), read_manifest(self.synthetic)

        def distance(
            folder: Path, frame: pd.DataFrame, groups: list[np.ndarray], what: str
        ) -> Measured:
            rng = numpy_rng(self.seed, "pairs of photos")
            pairs = draw_pairs(groups, self.settings.diversity_pairs, rng)
            return mean_distance(network, folder, frame, pairs, what)

        real = distance(self.prepared, train, [np.arange(len(train))], "two photos")
        any_two = distance(self.synthetic, synthetic, [np.arange(len(synthetic))], "two photos")
        same_mask = samples_of_one_mask(synthetic)
        of_a_mask = distance(self.synthetic, synthetic, same_mask, "two samples of one mask")
        return [Row("diversity_of_a_mask", of_a_mask, real), Row("diversity", any_two, real)]


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
