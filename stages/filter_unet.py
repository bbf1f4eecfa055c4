"""Stage filter-unet: score and rank the synthetic pairs by a U-Net trained on real ones."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.data.pairs import load_pairs
from pipeline.io.atomic import output_folder
from pipeline.io.errors import run
from pipeline.io.images import sha256_of
from pipeline.io.manifests import MANIFEST, read_classes, read_manifest, read_split
from pipeline.io.params import read_params, section, value
from pipeline.io.store import open_store
from pipeline.segmentation.filtering import FilterSettings, rank_pairs, unscored

PREPARED, SYNTHETIC, OUT = Path("data/prepared"), Path("data/synthetic"), Path("data/filtered")


def main() -> None:
    """Write scores.parquet; with `filter.score: none` no network is trained and all are kept."""
    params = read_params()
    settings = section(FilterSettings, "filter", params)
    synthetic = read_manifest(SYNTHETIC)
    if settings.score == "none":
        scores = unscored(synthetic["id"].tolist())
    else:
        scores = _score(params, synthetic)
    ranked = rank_pairs(scores, settings)
    with output_folder(OUT) as folder:
        ranked.to_parquet(folder / "scores.parquet", index=False)
    print(f"filter-unet: kept {ranked['kept'].sum()} of {len(ranked)} pairs ({settings.score})")


def _score(params: dict[str, Any], synthetic: pd.DataFrame) -> pd.DataFrame:
    from pipeline.models.segmenters import NetworkSettings
    from pipeline.segmentation.pair_scores import score_pairs
    from pipeline.segmentation.training import TrainingData, TrainingSettings, train_segmenter

    network = section(NetworkSettings, "filter.network", params)
    training = section(TrainingSettings, "filter.training", params)
    train, val = (load_pairs(PREPARED, read_split(PREPARED, part)) for part in ("train", "val"))
    data = TrainingData(train, val, len(read_classes(PREPARED)), augmentation=None)
    key = {
        "network": network.model_dump(),
        "training": training.model_dump(),
        "seed": value("seed", params),
        "prepared": sha256_of(PREPARED / MANIFEST),
    }
    with open_store("filter-unet", key) as store:
        state = store.path / "unet.safetensors"
        trained = train_segmenter(
            "unet", network, training, data, key["seed"], state, "filter-unet"
        )
        pairs = load_pairs(SYNTHETIC, synthetic, verify=True)
        return score_pairs(trained.network, pairs, data.total_classes)


if __name__ == "__main__":
    run(main)
