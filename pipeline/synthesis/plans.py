"""How the pairs of a set are made: by which model, for which masks, under which name in the store.

Brings together what the packages of masks, of diffusion and of cutting and pasting offer.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.copy_paste.composition import CopyPaste
from pipeline.copy_paste.settings import CopyPasteSettings
from pipeline.data.pairs import Pairs
from pipeline.diffusion.drawing import DrawnPair, Method, for_masks, with_masks
from pipeline.diffusion.enlarging import resampled, superresolved
from pipeline.diffusion.image_kinds import COPY_PASTE
from pipeline.diffusion.image_model import applied_guidance, check_prepared, load_image_model
from pipeline.diffusion.mask_model import MaskSamplingSettings, load_mask_model
from pipeline.diffusion.model_folder import ModelCard, read_card, read_kind
from pipeline.diffusion.sample_set import SampleJob, digest_of, hashes_of
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.diffusion.superres import load_superres
from pipeline.io.params import parse
from pipeline.io.unused import is_unused
from pipeline.masks.sources import MASK_SOURCES, MaskInputs, MaskSettings

# parameters of a set that decide nothing of a pair's bytes before it is enlarged
NOT_OF_A_PAIR = {"count", "first", "output", "shard_size", "superres"}


@dataclass(frozen=True)
class Folders:
    """Where the inputs lie; a method reads those that it needs."""

    prepared: Path
    image_model: Path  # finetuned or not
    autoencoder: Path
    mask_model: Path
    mask_autoencoder: Path
    superres: Path


def find_folders(prepared: Path, models: Path) -> Folders:
    """Those below `models`; the finetuned image model if there is one."""
    finetuned = models / "image_dm_finetuned"
    return Folders(
        prepared=prepared,
        image_model=models / "image_dm" if is_unused(finetuned) else finetuned,
        autoencoder=models / "autoencoder",
        mask_model=models / "mask_dm",
        mask_autoencoder=models / "mask_autoencoder",
        superres=models / "superres",
    )


class Plan(NamedTuple):
    """How pairs are made, before they are enlarged."""

    draw: Method
    card: ModelCard
    reduction: int  # how many times as large as these pairs those of the prepared set are
    key: dict[str, Any]  # what decides a pair's bytes
    drawn_by: dict[str, Any]  # columns of the manifest

    def job(self, settings: SamplingSettings, batch_size: int, seed: int) -> SampleJob:
        """All pairs to draw by it, so many in one pass."""
        return SampleJob(
            draw=self.draw,
            classes=self.card.classes,
            with_object=self.card.with_object,
            count=settings.count,
            batch_size=batch_size,
            seed=seed,
            first=settings.first,
        )


class Enlargement(NamedTuple):
    """How finished small pairs become large ones."""

    draw: Method
    key: dict[str, Any]
    drawn_by: dict[str, Any]


def make_plan(
    folders: Folders, settings: SamplingSettings, masks: MaskSettings, train: Pairs, seed: int
) -> Plan:
    """The plan for the image model that there is.

    Args:
        folders: of all inputs.
        settings: section sampling.
        masks: section masks; not used by models that make masks with their photos.
        train: the training pairs of the prepared set.
        seed: the pipeline's.

    Raises:
        UserError: a model is missing, or does not fit the prepared set.
    """
    if read_kind(folders.image_model) == COPY_PASTE:
        return _paste(folders, masks, train, seed)
    return _paint(folders, settings, masks, train, seed)


def enlarge(
    superres: Path, settings: SamplingSettings, card: ModelCard, small: Path, seed: int
) -> Enlargement:
    """To the size of the prepared set, by super-resolution or by resampling.

    Args:
        superres: folder of the model of train-superres.
        settings: section sampling.
        card: of the model that drew the small pairs.
        small: the store with all of them.
        seed: the pipeline's.

    Raises:
        UserError: the super-resolution model is missing, or was trained on other pairs.
    """
    own = settings.superres
    if not own.enabled:
        print("sampling.superres.enabled is false: pairs are resampled to the prepared set's size")
        return Enlargement(resampled(small), {"enlarged": "resampled"}, {"superres": "none"})
    size = (2 * card.height, 2 * card.width)
    painter, own_card = load_superres(
        superres, own.checkpoint, card.classes, card.with_object, size
    )
    weights = hashes_of(superres / own.checkpoint)
    return Enlargement(
        superresolved(small, painter, own, seed),
        {"superres": [own.model_dump(), own_card.to_json(), weights]},
        {"superres": own.sampler, "superres_steps": own.steps},
    )


def _paint(
    folders: Folders, settings: SamplingSettings, masks: MaskSettings, train: Pairs, seed: int
) -> Plan:
    """By a diffusion model, for masks or with them."""
    model = folders.image_model
    painter, card = load_image_model(model, settings.checkpoint, folders.autoencoder)
    reduction = check_prepared(card, model, folders.prepared, train)
    guidance = applied_guidance(card, painter, settings.guidance)
    settings = settings.model_copy(update={"guidance": guidance})
    key: dict[str, Any] = {
        "settings": settings.model_dump(exclude=NOT_OF_A_PAIR),
        "weights": hashes_of(model / settings.checkpoint),
    }
    drawn_by = {"guidance": guidance, "sampler": settings.sampler, "steps": settings.steps}
    if not painter.is_conditioned:
        _say_masks_unused(masks, card.kind)
        return Plan(with_masks(painter, card, settings, seed), card, reduction, key, drawn_by)
    print(
        f"masks: {masks.source}; guidance s = {guidance} (thesis, eq. 3.12), "
        f"w = {1 + guidance} (SDM's code, diffusers)"
    )
    train = _as_trained(train, card)
    draw_masks = None
    if masks.source == "diffusion":
        content = masks.diffusion.sampling
        own = parse(MaskSamplingSettings, "masks.diffusion.sampling", content)
        mask_model = load_mask_model(
            folders.mask_model, own.checkpoint, folders.mask_autoencoder, card.classes, train
        )
        draw_masks = partial(mask_model.draw, settings=own)
        weights = hashes_of(folders.mask_model / own.checkpoint)
        key["mask_dm"] = [mask_model.card.to_json(), weights]
    key["masks"] = {masks.source: getattr(masks, masks.source).model_dump()}
    key["train"] = digest_of(train)
    source = MASK_SOURCES[masks.source](MaskInputs(train, masks, seed, draw_masks))
    draw = for_masks(painter, card, source, settings, seed, reduction)
    return Plan(draw, card, reduction, key, drawn_by)


def _paste(folders: Folders, masks: MaskSettings, train: Pairs, seed: int) -> Plan:
    """By cutting and pasting."""
    model = folders.image_model
    card = read_card(model, {COPY_PASTE: CopyPasteSettings}, "run train-image-dm")
    check_prepared(card, model, folders.prepared, train)
    train = _as_trained(train, card)
    _say_masks_unused(masks, COPY_PASTE)
    compositor = CopyPaste(train, card.classes, card.settings, seed)

    def draw(indices: range) -> list[DrawnPair]:
        composed = [(index, compositor.draw(index)) for index in indices]
        return [
            DrawnPair(pair.image, pair.mask, pair.object, f"pasted_{index:06d}")
            for index, pair in composed
        ]

    drawn_by = {"guidance": 0.0, "sampler": COPY_PASTE, "steps": 0}
    return Plan(draw, card, 1, {"train": digest_of(train)}, drawn_by)


def _as_trained(train: Pairs, card: ModelCard) -> Pairs:
    return train if card.with_object else replace(train, objects=None)


def _say_masks_unused(masks: MaskSettings, kind: str) -> None:
    print(f"masks.source: {masks.source} is not used, {kind} makes masks with its photos")
