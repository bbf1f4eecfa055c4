"""Stage train-superres: the diffusion model that draws a pair at twice the size of a small one."""

from pathlib import Path

from pipeline.io.errors import UserError, run
from pipeline.io.launch import use_all_gpus
from pipeline.io.params import read_params, section, value
from pipeline.io.unused import write_unused

PREPARED, OUT = Path("data/prepared"), Path("data/models/superres")


def main() -> None:
    """Write that it is not used, or train."""
    params = read_params()
    if not value("sampling.superres.enabled", params):
        write_unused("train-superres", OUT, "sampling.superres.enabled is false")
        return
    if value("image_dm.reduction", params) != 2:
        raise UserError(
            "sampling.superres.enabled: got true, but image_dm.reduction is "
            f"{value('image_dm.reduction', params)}, so nothing is drawn small; set "
            "image_dm.reduction to 2, or sampling.superres.enabled to false"
        )
    # imported here: an unused stage must not wait for torch
    from pipeline.diffusion.superres import SuperresSettings
    from pipeline.diffusion.superres_training import train_superres
    from pipeline.models.conditioning import ConditionSettings

    settings = section(SuperresSettings, "superres", params)
    use_all_gpus("stages.train_superres")
    train_superres(
        stage="train-superres",
        prepared=PREPARED,
        out=OUT,
        settings=settings,
        condition=section(ConditionSettings, "condition", params),
        seed=value("seed", params),
    )


if __name__ == "__main__":
    run(main, lower="superres.training.batch_size or superres.network.width")
