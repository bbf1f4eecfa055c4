"""Stage sample: synthetic pairs, drawn for the masks of a source or together with their masks."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.copy_paste.composition import CopyPaste
from pipeline.copy_paste.settings import CopyPasteSettings
from pipeline.data.pairs import Pairs, load_pairs
from pipeline.diffusion.drawing import DrawnPair, Method, for_masks, with_masks
from pipeline.diffusion.enlarging import resampled, superresolved
from pipeline.diffusion.image_kinds import COPY_PASTE
from pipeline.diffusion.image_model import applied_guidance, check_prepared, load_image_model
from pipeline.diffusion.mask_model import MaskSamplingSettings, load_mask_model
from pipeline.diffusion.model_folder import ModelCard, read_card, read_kind
from pipeline.diffusion.sample_set import SampleJob, digest_of, drawn_store, hashes_of, write_set
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.diffusion.superres import load_superres
from pipeline.io.errors import run
from pipeline.io.launch import use_all_gpus
from pipeline.io.manifests import read_split
from pipeline.io.params import parse, read_params, section, value
from pipeline.masks.sources import MASK_SOURCES, MaskInputs, MaskSettings

PREPARED, AUTOENCODER = Path("data/prepared"), Path("data/models/autoencoder")
TRAINED, FINETUNED = Path("data/models/image_dm"), Path("data/models/image_dm_finetuned")
MASK_DM, MASK_AUTOENCODER = Path("data/models/mask_dm"), Path("data/models/mask_autoencoder")
SUPERRES, OUT = Path("data/models/superres"), Path("data/synthetic")


class Plan(NamedTuple):
    """How pairs are drawn, before they are enlarged."""

    draw: Method
    card: ModelCard
    reduction: int  # how many times as large as these pairs those of the prepared set are
    key: dict[str, Any]  # what decides a pair's bytes
    drawn_by: dict[str, Any]  # columns of the manifest


def main() -> None:
    """Draw `sampling.count` pairs with the finetuned model if there is one."""
    params = read_params()
    settings = section(SamplingSettings, "sampling", params)
    use_all_gpus("stages.sample")
    model = TRAINED if (FINETUNED / "unused.json").exists() else FINETUNED
    train = load_pairs(PREPARED, read_split(PREPARED, "train"))
    plan = (_paste if read_kind(model) == COPY_PASTE else _paint)(params, settings, model, train)
    card, seed = plan.card, value("seed", params)
    job = SampleJob(
        draw=plan.draw,
        classes=card.classes,
        with_object=card.with_object,
        count=settings.count,
        batch_size=settings.batch_size,
        seed=seed,
        first=settings.first,
    )
    key = plan.key | {"seed": seed, "batch_size": settings.batch_size, "card": card.to_json()}
    with drawn_store(job, key) as small:
        if plan.reduction == 1:
            write_set(job, small, OUT, plan.drawn_by)
            return
        draw, own_key, drawn_by = _enlarge(settings, card, small, seed)
        batch_size = settings.superres.batch_size
        large = replace(job, draw=draw, batch_size=batch_size)
        with drawn_store(large, key | own_key, "sample-enlarged") as store:
            write_set(large, store, OUT, plan.drawn_by | drawn_by)


def _paint(params: dict[str, Any], settings: SamplingSettings, model: Path, train: Pairs) -> Plan:
    """By a diffusion model, for masks or with them."""
    painter, card = load_image_model(model, settings.checkpoint, AUTOENCODER)
    reduction = check_prepared(card, model, PREPARED, train)
    guidance = applied_guidance(card, painter, settings.guidance)
    settings = settings.model_copy(update={"guidance": guidance})
    masks, seed = section(MaskSettings, "masks", params), value("seed", params)
    key: dict[str, Any] = {
        "settings": settings.model_dump(exclude={"count", "first", "superres"}),
        "weights": hashes_of(model / settings.checkpoint),
    }
    drawn_by = {"guidance": guidance, "sampler": settings.sampler, "steps": settings.steps}
    if not painter.is_conditioned:
        print(f"masks.source: {masks.source} is not used, {card.kind} draws masks with its photos")
        return Plan(with_masks(painter, card, settings, seed), card, reduction, key, drawn_by)
    print(
        f"masks: {masks.source}; guidance s = {guidance} (thesis, eq. 3.12), "
        f"w = {1 + guidance} (SDM's code, diffusers)"
    )
    train = train if card.with_object else replace(train, objects=None)
    draw_masks = None
    if masks.source == "diffusion":
        content = masks.diffusion.sampling
        own = parse(MaskSamplingSettings, "masks.diffusion.sampling", content)
        mask_model = load_mask_model(MASK_DM, own.checkpoint, MASK_AUTOENCODER, card.classes, train)
        draw_masks = partial(mask_model.draw, settings=own)
        key["mask_dm"] = [mask_model.card.to_json(), hashes_of(MASK_DM / own.checkpoint)]
    key["masks"] = {masks.source: getattr(masks, masks.source).model_dump()}
    key["train"] = digest_of(train)
    source = MASK_SOURCES[masks.source](MaskInputs(train, masks, seed, draw_masks))
    draw = for_masks(painter, card, source, settings, seed, reduction)
    return Plan(draw, card, reduction, key, drawn_by)


def _paste(params: dict[str, Any], settings: SamplingSettings, model: Path, train: Pairs) -> Plan:
    """By cutting and pasting."""
    card = read_card(model, {COPY_PASTE: CopyPasteSettings}, "run train-image-dm")
    check_prepared(card, model, PREPARED, train)
    train = train if card.with_object else replace(train, objects=None)
    source = value("masks.source", params)
    print(f"masks.source: {source} is not used, {COPY_PASTE} makes masks with its photos")
    compositor = CopyPaste(train, card.classes, card.settings, value("seed", params))

    def draw(indices: range) -> list[DrawnPair]:
        composed = [(index, compositor.draw(index)) for index in indices]
        return [
            DrawnPair(pair.image, pair.mask, pair.object, f"pasted_{index:06d}")
            for index, pair in composed
        ]

    drawn_by = {"guidance": 0.0, "sampler": COPY_PASTE, "steps": 0}
    return Plan(draw, card, 1, {"train": digest_of(train)}, drawn_by)


def _enlarge(
    settings: SamplingSettings, card: ModelCard, small: Path, seed: int
) -> tuple[Method, dict[str, Any], dict[str, Any]]:
    """The method, its part of the key, and its columns of the manifest."""
    own = settings.superres
    if not own.enabled:
        print("sampling.superres.enabled is false: pairs are resampled to the prepared set's size")
        return resampled(small), {"enlarged": "resampled"}, {"superres": "none"}
    size = (2 * card.height, 2 * card.width)
    painter, superres = load_superres(
        SUPERRES, own.checkpoint, card.classes, card.with_object, size
    )
    key = {"superres": [own.model_dump(), superres.to_json(), hashes_of(SUPERRES / own.checkpoint)]}
    drawn_by = {"superres": own.sampler, "superres_steps": own.steps}
    return superresolved(small, painter, own, seed), key, drawn_by


if __name__ == "__main__":
    run(main)
