"""Stage finetune-image-dm: the trained model trained on with dropped conditions, for guidance.

Off by default: a model trained with a drop rate from the start needs no finetuning.
"""

from pathlib import Path

from pipeline.diffusion.finetuning_settings import FinetuneSettings
from pipeline.io.errors import UserError, run
from pipeline.io.launch import use_all_gpus
from pipeline.io.params import read_params, section, value
from pipeline.io.unused import write_unused

PREPARED, AUTOENCODER = Path("data/prepared"), Path("data/models/autoencoder")
TRAINED = Path("data/models/image_dm")
OUT = Path("data/models/image_dm_finetuned")


def main() -> None:
    """Write that it is not used, or finetune."""
    params = read_params()
    settings = section(FinetuneSettings, "image_dm.finetune", params)
    if not settings.enabled:
        write_unused("finetune-image-dm", OUT, "image_dm.finetune.enabled is false")
        return
    # imported here: an unused stage must not wait for torch
    from pipeline.diffusion.image_kinds import UNCONDITIONED_KINDS, read_image_kind
    from pipeline.diffusion.image_training import train_image_model
    from pipeline.models.conditioning import ConditionSettings

    name = value("image_dm.kind", params)
    if name in UNCONDITIONED_KINDS:
        raise UserError(
            f"image_dm.finetune.enabled: got true, but {name} has no condition to drop; set it to "
            "false"
        )
    kind = read_image_kind(params, AUTOENCODER)
    use_all_gpus("stages.finetune_image_dm")
    training = settings.applied_to(kind.settings.training)
    kind.settings = kind.settings.model_copy(update={"training": training})
    train_image_model(
        stage="finetune-image-dm",
        prepared=PREPARED,
        out=OUT,
        kind=kind,
        condition=section(ConditionSettings, "condition", params),
        seed=value("seed", params),
        reduction=value("image_dm.reduction", params),
        start=TRAINED,
    )


if __name__ == "__main__":
    run(main, lower="image_dm.<kind>.training.batch_size")
