"""Stage train-autoencoder: the autoencoder of photos, for the latent image model."""

from pathlib import Path

from pipeline.io.errors import run
from pipeline.io.params import read_params, section, value
from pipeline.io.unused import write_unused

PREPARED = Path("data/prepared")
OUT = Path("data/models/autoencoder")


def main() -> None:
    """Write that it is not used, or train."""
    params = read_params()
    kind = value("image_dm.kind", params)
    if kind != "ldm":
        write_unused("train-autoencoder", OUT, f"image_dm.kind is {kind}")
        return
    # imported here: an unused stage must not wait for torch
    from pipeline.autoencoding.photos import train_photo_autoencoder
    from pipeline.autoencoding.settings import AutoencoderSettings

    settings = section(AutoencoderSettings, "autoencoder", params)
    seed, reduction = value("seed", params), value("image_dm.reduction", params)
    train_photo_autoencoder(PREPARED, OUT, settings, seed, reduction)


if __name__ == "__main__":
    run(main, lower="autoencoder.training.batch_size or autoencoder.network.width")
