"""Stage train-mask-autoencoder: the autoencoder of masks, for the latent mask model."""

from pathlib import Path

from pipeline.io.errors import run
from pipeline.io.params import read_params, section, value
from pipeline.io.unused import write_unused

PREPARED = Path("data/prepared")
OUT = Path("data/models/mask_autoencoder")


def main() -> None:
    """Write that it is not used, or train."""
    params = read_params()
    source, kind = value("masks.source", params), value("mask_dm.kind", params)
    if source != "diffusion":
        write_unused("train-mask-autoencoder", OUT, f"masks.source is {source}")
        return
    if kind != "latent":
        write_unused("train-mask-autoencoder", OUT, f"mask_dm.kind is {kind}")
        return
    # imported here: an unused stage must not wait for torch
    from pipeline.autoencoding.masks import train_mask_autoencoder
    from pipeline.autoencoding.settings import MaskAutoencoderSettings
    from pipeline.models.conditioning import ConditionSettings

    settings = section(MaskAutoencoderSettings, "mask_autoencoder", params)
    condition = section(ConditionSettings, "condition", params)
    train_mask_autoencoder(PREPARED, OUT, settings, condition.object, value("seed", params))


if __name__ == "__main__":
    run(main, lower="mask_autoencoder.training.batch_size")
