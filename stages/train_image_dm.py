"""Stage train-image-dm: the diffusion model that draws a photo for a mask."""

from pathlib import Path

from pipeline.diffusion.image_kinds import read_image_kind
from pipeline.diffusion.image_training import train_image_model
from pipeline.io.errors import run
from pipeline.io.launch import use_all_gpus
from pipeline.io.params import read_params, section, value
from pipeline.models.conditioning import ConditionSettings

PREPARED, AUTOENCODER = Path("data/prepared"), Path("data/models/autoencoder")
OUT = Path("data/models/image_dm")


def main() -> None:
    """Train the kind of model that params.yaml chooses."""
    params = read_params()
    kind = read_image_kind(params, AUTOENCODER)
    condition = section(ConditionSettings, "condition", params)
    use_all_gpus("stages.train_image_dm")
    train_image_model(
        stage="train-image-dm",
        prepared=PREPARED,
        out=OUT,
        kind=kind,
        condition=condition,
        seed=value("seed", params),
    )


if __name__ == "__main__":
    run(main)
