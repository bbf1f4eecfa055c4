"""Stage compose-mixes: the table of pairs of one mix, from the prepared and synthetic sets.

Usage: python -m stages.compose_mixes <mix>
"""

import sys
from pathlib import Path

import pandas as pd

from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.mixes import compose_mix, read_mixes, write_mix
from pipeline.io.atomic import output_folder
from pipeline.io.errors import UserError, run
from pipeline.io.manifests import read_classes, read_manifest
from pipeline.io.params import read_params, section, value

PREPARED, SYNTHETIC = Path("data/prepared"), Path("data/synthetic")
SCORES, OUT = Path("data/filtered/scores.parquet"), Path("data/mixes")


def main() -> None:
    """Write data/mixes/<mix>."""
    params = read_params()
    mixes = read_mixes(params)
    name = sys.argv[1] if len(sys.argv) == 2 else None
    if name not in mixes:
        raise UserError(f"mix: got {name!r}, expected one of {', '.join(mixes)}")
    settings = mixes[name]
    augmentation = section(AugmentationSettings, "segmenters.augmentation", params)
    # a mix without synthetic pairs does not look at them, so they cannot change it
    synthetic = (SYNTHETIC, _kept_pairs()) if settings.synthetic != 0 else None
    prepared = (PREPARED, read_manifest(PREPARED))
    rows = compose_mix(name, settings, prepared, synthetic, value("seed", params))
    with output_folder(OUT / name) as folder:
        write_mix(folder, rows, settings, augmentation, read_classes(PREPARED))
    sizes = rows.groupby(["part", "origin"]).size()
    print(f"{name}: " + ", ".join(f"{size} {' '.join(key)}" for key, size in sizes.items()))


def _kept_pairs() -> pd.DataFrame:
    """The synthetic pairs that the filter kept."""
    synthetic, scores = read_manifest(SYNTHETIC), pd.read_parquet(SCORES)
    if set(synthetic["id"]) != set(scores["id"]):
        raise UserError(f"{SCORES}: scores of other pairs than {SYNTHETIC}; run filter-unet again")
    return synthetic[synthetic["id"].isin(scores.loc[scores["kept"], "id"])]


if __name__ == "__main__":
    run(main)
