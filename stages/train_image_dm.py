"""Stage train-image-dm: the model that draws a photo for a mask, or a photo with its mask."""

from pathlib import Path

from pipeline.copy_paste.settings import CopyPasteSettings
from pipeline.diffusion.image_kinds import COPY_PASTE, read_image_kind
from pipeline.diffusion.image_training import train_image_model, write_untrained
from pipeline.io.errors import UserError, run
from pipeline.io.launch import use_all_gpus
from pipeline.io.params import read_params, section, value
from pipeline.models.conditioning import ConditionSettings

PREPARED, AUTOENCODER = Path("data/prepared"), Path("data/models/autoencoder")
OUT = Path("data/models/image_dm")


def main() -> None:
    """Train the kind of model that params.yaml chooses."""
    params = read_params()
    condition = section(ConditionSettings, "condition", params)
    seed, reduction = value("seed", params), value("image_dm.reduction", params)
    if reduction not in (1, 2):
        raise UserError(f"image_dm.reduction: got {reduction!r}, expected 1 or 2")
    if value("image_dm.kind", params) == COPY_PASTE:
        settings = section(CopyPasteSettings, f"image_dm.{COPY_PASTE}", params)
        write_untrained(COPY_PASTE, settings, PREPARED, OUT, condition, seed)
        print(f"train-image-dm: {COPY_PASTE} has nothing to train")
        return
    kind = read_image_kind(params, AUTOENCODER)
    use_all_gpus("stages.train_image_dm")
    train_image_model(
        stage="train-image-dm",
        prepared=PREPARED,
        out=OUT,
        kind=kind,
        condition=condition,
        seed=seed,
        reduction=reduction,
    )


if __name__ == "__main__":
    run(main, lower="image_dm.<kind>.training.batch_size or image_dm.<kind>.network.width")
