"""Stage train-image-dm: the diffusion model that draws a photo for a mask."""

from pathlib import Path

from pipeline.diffusion.image_model import SdmSettings
from pipeline.diffusion.image_training import train_image_model
from pipeline.io.errors import UserError, run
from pipeline.io.launch import use_all_gpus
from pipeline.io.params import read_params, section, value
from pipeline.models.conditioning import ConditionSettings

PREPARED = Path("data/prepared")
OUT = Path("data/models/image_dm")


def main() -> None:
    """Train the kind of model that params.yaml chooses."""
    params = read_params()
    kind = value("image_dm.kind", params)
    if kind != "sdm":
        raise UserError(f"image_dm.kind: got {kind!r}, expected sdm")
    settings = section(SdmSettings, "image_dm.sdm", params)
    condition = section(ConditionSettings, "condition", params)
    use_all_gpus("stages.train_image_dm")
    train_image_model(
        stage="train-image-dm",
        prepared=PREPARED,
        out=OUT,
        settings=settings,
        condition=condition,
        seed=value("seed", params),
    )


if __name__ == "__main__":
    run(main)
