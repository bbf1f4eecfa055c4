"""Stage sample: synthetic pairs, each drawn for a mask of the mask source."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.data.pairs import Pairs, load_pairs
from pipeline.diffusion.image_model import check_prepared, load_image_model
from pipeline.diffusion.mask_model import MaskSamplingSettings, load_mask_model
from pipeline.diffusion.sample_set import SampleJob, draw_set, store_key
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.io.errors import run
from pipeline.io.images import sha256_of
from pipeline.io.launch import use_all_gpus
from pipeline.io.manifests import ClassInfo, read_split
from pipeline.io.params import parse, read_params, section, value
from pipeline.masks.generated import Draw
from pipeline.masks.sources import MASK_SOURCES, MaskInputs, MaskSettings

PREPARED, AUTOENCODER = Path("data/prepared"), Path("data/models/autoencoder")
TRAINED, FINETUNED = Path("data/models/image_dm"), Path("data/models/image_dm_finetuned")
MASK_DM, MASK_AUTOENCODER = Path("data/models/mask_dm"), Path("data/models/mask_autoencoder")
OUT = Path("data/synthetic")


def main() -> None:
    """Draw `sampling.count` pairs with the finetuned model if there is one."""
    params = read_params()
    settings = section(SamplingSettings, "sampling", params)
    masks = section(MaskSettings, "masks", params)
    seed = value("seed", params)
    use_all_gpus("stages.sample")
    model = TRAINED if (FINETUNED / "unused.json").exists() else FINETUNED
    painter, card = load_image_model(model, settings.checkpoint, AUTOENCODER)
    train = load_pairs(PREPARED, read_split(PREPARED, "train"))
    check_prepared(card, model, PREPARED, train, settings.guidance)
    train = train if card.with_object else replace(train, objects=None)
    draw_masks, inputs = None, {"image_dm": card.to_json()}
    if masks.source == "diffusion":
        draw_masks, inputs["mask_dm"] = _mask_model(masks, card.classes, train)
    job = SampleJob(
        painter=painter,
        classes=card.classes,
        with_object=card.with_object,
        source=MASK_SOURCES[masks.source](MaskInputs(train, masks, seed, draw_masks)),
        settings=settings,
        seed=seed,
    )
    chosen_masks = {masks.source: getattr(masks, masks.source).model_dump()}
    weights = model / settings.checkpoint
    draw_set(
        job,
        store_key(job, weights, inputs, train, chosen_masks),
        OUT,
        title=f"sampling from {weights}, masks: {masks.source}, guidance s = {settings.guidance} "
        f"(thesis, eq. 3.12), w = {1 + settings.guidance} (SDM's code, diffusers)",
    )


def _mask_model(
    masks: MaskSettings, classes: list[ClassInfo], train: Pairs
) -> tuple[Draw, dict[str, Any]]:
    """What draws masks, and all that decides what it draws."""
    content = masks.diffusion.sampling
    settings = parse(MaskSamplingSettings, "masks.diffusion.sampling", content)
    model = load_mask_model(MASK_DM, settings.checkpoint, MASK_AUTOENCODER, classes, train)
    weights = {path.name: sha256_of(path) for path in (MASK_DM / settings.checkpoint).iterdir()}
    return partial(model.draw, settings=settings), {"card": model.card.to_json(), **weights}


if __name__ == "__main__":
    run(main)
