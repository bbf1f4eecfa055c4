"""Stage compose-mixes: the table of pairs of every mix, from the prepared and synthetic sets.

One stage for all of them: a mix takes a moment, a process and DVC's look at a stage take longer.
A segmenter depends on the folder of its own mix: it is not trained again when others change.
"""

from functools import partial
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
    """Write data/mixes, with a folder for each mix."""
    params = read_params()
    mixes, seed = read_mixes(params), value("seed", params)
    classes = read_classes(PREPARED)
    augmentation = section(AugmentationSettings, "segmenters.augmentation", params)
    pasting = section(PastingSettings, "segmenters.pasting", params)
    prepared = (PREPARED, read_manifest(PREPARED))
    synthetic = None  # without a mix that counts them there need be none
    if any(settings.counts_synthetic for settings in mixes.values()):
        synthetic = (SYNTHETIC, _kept_pairs())

    def paste(folder: Path, name: str, real: pd.DataFrame, count: int) -> PairSet:
        pairs = load_pairs(PREPARED, real, verify=True)
        return OUT / name, write_pasted(folder, pairs, real, count, pasting, classes, seed)

    with output_folder(OUT) as out:
        for name, settings in mixes.items():
            pasted = partial(paste, out / name, name)
            rows = compose_mix(name, settings, prepared, synthetic, seed, pasted)
            write_mix(out / name, rows, settings, augmentation, classes)
            sizes = rows.groupby(["part", "origin"]).size()
            told = ", ".join(f"{size} {' '.join(key)}" for key, size in sizes.items())
            print(f"{name}: {told}")


def _kept_pairs() -> pd.DataFrame:
    """The synthetic pairs that the filter kept."""
    synthetic, scores = read_manifest(SYNTHETIC), pd.read_parquet(SCORES)
    if set(synthetic["id"]) != set(scores["id"]):
        raise UserError(f"{SCORES}: scores of other pairs than {SYNTHETIC}; run filter-unet again")
    return synthetic[synthetic["id"].isin(scores.loc[scores["kept"], "id"])]


if __name__ == "__main__":
    run(main)
