"""Stage train-segmenters: one architecture on one mix, with several seeds, and its test counts.

Usage: python -m stages.train_segmenters <architecture> <mix>
"""

import sys
from pathlib import Path

from pipeline.data.mixes import read_mix
from pipeline.io.atomic import output_folder
from pipeline.io.errors import UserError, run
from pipeline.io.manifests import read_test
from pipeline.io.params import read_params, section, value
from pipeline.io.store import open_store
from pipeline.models.segmenters import ARCHITECTURES, NetworkSettings
from pipeline.segmentation.runs import describe, evaluate_run, train_run, write_run
from pipeline.segmentation.training import RepeatedTrainingSettings

PREPARED, MIXES, OUT = Path("data/prepared"), Path("data/mixes"), Path("data/models/segmenters")


def main() -> None:
    """Train all seeds; then, and only then, read the test pairs and count."""
    if len(sys.argv) != 3 or sys.argv[1] not in ARCHITECTURES:
        raise UserError(f"got {sys.argv[1:]}, expected one of {', '.join(ARCHITECTURES)} and a mix")
    architecture, mix = sys.argv[1], read_mix(MIXES / sys.argv[2])
    params = read_params()
    network = section(NetworkSettings, "segmenters.network", params)
    training = section(RepeatedTrainingSettings, "segmenters.training", params)
    seed = value("seed", params)
    key = {
        "architecture": architecture,
        "network": network.model_dump(),
        # the number of seeds decides nothing about any one of them
        "training": training.model_dump(exclude={"seeds"}),
        "seed": seed,
        "mix": mix.sha256,
    }
    with open_store("train-segmenters", key) as store:
        trained = train_run(architecture, mix, network, training, seed, store.path)
        results = evaluate_run(trained, read_test(PREPARED))
        with output_folder(OUT / f"{architecture}-{mix.name}") as folder:
            write_run(folder, trained, results)
        store.finish()
    print(describe(trained, results))


if __name__ == "__main__":
    run(main, lower="segmenters.training.batch_size or segmenters.network.input_scale")
