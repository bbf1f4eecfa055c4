"""Stage filter-unet: score and rank the synthetic pairs by U-Nets trained on real ones."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.io.atomic import output_folder
from pipeline.io.errors import run
from pipeline.io.params import read_params, section, value
from pipeline.segmentation.filtering import FilterSettings, keep_all

PREPARED, SYNTHETIC, OUT = Path("data/prepared"), Path("data/synthetic"), Path("data/filtered")


def main() -> None:
    """Write scores.parquet, with folds real_scores.parquet too; if off, look at no pair."""
    params = read_params()
    settings = section(FilterSettings, "filter", params)
    if settings.is_off:
        tables = {"scores": keep_all(SYNTHETIC / "manifest.parquet")}
    else:
        tables = _look_at_pairs(params, settings)
    with output_folder(OUT) as folder:
        for name, table in tables.items():
            pq.write_table(table, folder / f"{name}.parquet")
    kept = tables["scores"]["kept"].to_pylist()
    print(f"filter-unet: kept {sum(kept)} of {len(kept)} pairs ({settings.score})")


def _look_at_pairs(params: dict[str, Any], settings: FilterSettings) -> dict[str, pa.Table]:
    from pipeline.data.pairs import load_pairs
    from pipeline.io.manifests import read_manifest
    from pipeline.segmentation.ranking import defect_shares, rank_pairs

    synthetic = read_manifest(SYNTHETIC)
    pairs = load_pairs(SYNTHETIC, synthetic, verify=True)
    scores, frames = defect_shares(pairs), {}
    if settings.score != "none":
        from pipeline.models.segmenters import NetworkSettings
        from pipeline.segmentation.judges import Judges
        from pipeline.segmentation.training import TrainingSettings

        judges = Judges(
            section(NetworkSettings, "filter.network", params),
            section(TrainingSettings, "filter.training", params),
            settings.folds,
            value("seed", params),
        )
        judged = judges.score(PREPARED, pairs, synthetic["mask_id"].tolist())
        scores = scores.merge(judged.synthetic, on="id")
        if judged.real is not None:
            frames["real_scores"] = judged.real
    frames["scores"] = rank_pairs(scores, settings)
    return {name: pa.Table.from_pandas(f, preserve_index=False) for name, f in frames.items()}


if __name__ == "__main__":
    run(main, lower="filter.training.batch_size or filter.network.input_scale")
