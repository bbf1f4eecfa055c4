"""Stage compose-mixes: the table of pairs of one mix, from the prepared and synthetic sets.

Usage: python -m stages.compose_mixes <mix>
"""

import sys
from pathlib import Path

import pandas as pd

from pipeline.copy_paste.between_photos import PastingSettings, write_pasted
from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.composition import PairSet, compose_mix, write_mix
from pipeline.data.mix_settings import read_mixes
from pipeline.data.pairs import load_pairs
from pipeline.io.atomic import output_folder
from pipeline.io.errors import UserError, run
from pipeline.io.manifests import read_classes, read_manifest
from pipeline.io.params import read_params, section, value

PREPARED, SYNTHETIC = Path("data/prepared"), Path("data/synthetic")
SCORES, OUT = Path("data/filtered/scores.parquet"), Path("data/mixes")


def main() -> None:
    """Write data/mixes/<mix>."""
    params = read_params()
    mixes, seed = read_mixes(params), value("seed", params)
    name = sys.argv[1] if len(sys.argv) == 2 else None
    if name not in mixes:
        raise UserError(f"mix: got {name!r}, expected one of {', '.join(mixes)}")
    settings, classes = mixes[name], read_classes(PREPARED)
    augmentation = section(AugmentationSettings, "segmenters.augmentation", params)
    pasting = section(PastingSettings, "segmenters.pasting", params)
    # a mix without synthetic pairs does not look at them, so they cannot change it
    synthetic = (SYNTHETIC, _kept_pairs()) if settings.counts_synthetic else None
    prepared = (PREPARED, read_manifest(PREPARED))
    with output_folder(OUT / name) as folder:

        def paste(real: pd.DataFrame, count: int) -> PairSet:
            pairs = load_pairs(PREPARED, real, verify=True)
            return OUT / name, write_pasted(folder, pairs, real, count, pasting, classes, seed)

        rows = compose_mix(name, settings, prepared, synthetic, seed, paste)
        write_mix(folder, rows, settings, augmentation, classes)
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
