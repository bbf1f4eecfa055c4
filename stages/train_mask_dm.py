"""Stage train-mask-dm: the diffusion model that draws masks, for masks.source diffusion."""

from functools import partial
from pathlib import Path

from pipeline.io.errors import run
from pipeline.io.launch import use_all_gpus
from pipeline.io.params import read_params, value
from pipeline.io.unused import write_unused

PREPARED, AUTOENCODER = Path("data/prepared"), Path("data/models/mask_autoencoder")
OUT = Path("data/models/mask_dm")


def main() -> None:
    """Write that it is not used, or train."""
    params = read_params()
    source = value("masks.source", params)
    if source != "diffusion":
        write_unused("train-mask-dm", OUT, f"masks.source is {source}")
        return
    # imported here: an unused stage must not wait for torch
    from pipeline.diffusion.mask_training import read_mask_training, train_mask_model
    from pipeline.masks.plausibility import faults, learn

    job = read_mask_training(params)
    use_all_gpus("stages.train_mask_dm")
    train_mask_model(
        stage="train-mask-dm",
        prepared=PREPARED,
        autoencoder=AUTOENCODER,
        out=OUT,
        job=job,
        checker=lambda train: partial(faults, real=learn(train.masks, train.objects)),
    )


if __name__ == "__main__":
    run(main, lower="mask_dm.<kind>.training.batch_size or mask_dm.<kind>.network.width")
