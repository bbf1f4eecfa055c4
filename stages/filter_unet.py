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
    """Write scores.parquet; a filter that is off looks at no pair."""
    params = read_params()
    settings = section(FilterSettings, "filter", params)
    if settings.is_off:
        ranked = keep_all(SYNTHETIC / "manifest.parquet")
    else:
        ranked = _look_at_pairs(params, settings)
    with output_folder(OUT) as folder:
        pq.write_table(ranked, folder / "scores.parquet")
    kept = sum(ranked["kept"].to_pylist())
    print(f"filter-unet: kept {kept} of {len(ranked)} pairs ({settings.score})")


def _look_at_pairs(params: dict[str, Any], settings: FilterSettings) -> pa.Table:
    import pandas as pd

    from pipeline.data.pairs import load_pairs
    from pipeline.io.manifests import read_manifest
    from pipeline.segmentation.ranking import rank_pairs

    synthetic = read_manifest(SYNTHETIC)
    pairs = load_pairs(SYNTHETIC, synthetic, verify=True)
    scores = pd.DataFrame({"id": pairs.ids, "defect_share": (pairs.masks > 0).mean(axis=(1, 2))})
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
        scores = scores.merge(judged, on="id")
    return pa.Table.from_pandas(rank_pairs(scores, settings), preserve_index=False)


if __name__ == "__main__":
    run(main)
