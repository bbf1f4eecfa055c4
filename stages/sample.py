"""Stage sample: synthetic pairs, each drawn for a mask of the mask source."""

from pathlib import Path

from pipeline.data.pairs import load_pairs
from pipeline.diffusion.image_model import load_image_model
from pipeline.diffusion.sample_set import SampleJob, draw_set, store_key
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.io.errors import UserError, run
from pipeline.io.launch import use_all_gpus
from pipeline.io.manifests import read_classes, read_split
from pipeline.io.params import read_params, section, value
from pipeline.masks.sources import MASK_SOURCES, MaskSettings

PREPARED = Path("data/prepared")
TRAINED = Path("data/models/image_dm")
FINETUNED = Path("data/models/image_dm_finetuned")
OUT = Path("data/synthetic")


def main() -> None:
    """Draw `sampling.count` pairs with the finetuned model if there is one."""
    params = read_params()
    settings = section(SamplingSettings, "sampling", params)
    masks = section(MaskSettings, "masks", params)
    seed = value("seed", params)
    use_all_gpus("stages.sample")
    model = TRAINED if (FINETUNED / "unused.json").exists() else FINETUNED
    network, card = load_image_model(model, settings.checkpoint)
    train = load_pairs(PREPARED, read_split(PREPARED, "train"))
    if card.classes != read_classes(PREPARED):
        raise UserError(f"{model}: was trained for other classes than {PREPARED} has; train again")
    if card.with_object and train.objects is None:
        raise UserError(
            f"{PREPARED}: has no object silhouettes, but {model} was trained with them; set "
            "dataset.object.source, or condition.object to false and train again"
        )
    if settings.guidance > 0 and card.sdm.training.drop_rate == 0:
        print(
            f"warning: sampling.guidance is {settings.guidance}, but {model} never saw the null "
            "condition (drop_rate 0); set guidance to 0 or image_dm.finetune.enabled to true"
        )
    job = SampleJob(
        network=network,
        diffusion=card.sdm.diffusion,
        classes=card.classes,
        with_object=card.with_object,
        source=MASK_SOURCES[masks.source](train, masks, seed),
        settings=settings,
        seed=seed,
    )
    chosen_masks = {masks.source: getattr(masks, masks.source).model_dump()}
    weights = model / settings.checkpoint
    draw_set(
        job,
        store_key(job, weights, train, chosen_masks),
        OUT,
        title=f"sampling from {weights}, masks: {masks.source}, guidance s = {settings.guidance} "
        f"(thesis, eq. 3.12), w = {1 + settings.guidance} (SDM's code, diffusers)",
    )


if __name__ == "__main__":
    run(main)
