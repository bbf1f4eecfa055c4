"""What was run, in words: the method, the data, and how much the figures can carry."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

ENOUGH_SEEDS = 5  # REFERENCES, section 5: fewer seeds cannot carry a difference of 2 %

FINETUNED = ", finetuned with dropped conditions"
IMAGE_MODELS = {
    "sdm": "sdm: pixels, mask through SPADE",
    "ldm": "ldm: latents, mask concatenated",
    "copy_paste": "none: objects cut out of training photos and pasted",
}
DRAW_MASKS = ("pair", "copy_paste")  # kinds that make masks with their photos: no source is asked
ARCHITECTURES = {
    "concat": "one network on the channels of both",
    "shared_encoder": "one encoder, two decoders that exchange",
    "two_encoder": "two networks that exchange",
}
MASKS_FROM = {"real": "the training masks", "augmented": "the training masks, transformed"}
MASK_SPACES = {"latent": "latents of the mask autoencoder", "pixel": "label maps"}


def method(params: Mapping[str, Any], synthetic: pd.DataFrame) -> list[tuple[str, str]]:
    """Name and value of each choice that a reader asks for first.

    Args:
        params: all parameters.
        synthetic: the synthetic set's manifest; how it was sampled is read from there.
    """
    image, kind = params["image"], params["image_dm"]["kind"]
    finetuned = params["image_dm"].get("finetune", {}).get("enabled", False)
    silhouette = params.get("condition", {}).get("object", False)
    rows = [
        ("Data set", f"{params['dataset']['path']}, subset {params['subset']}"),
        ("Photo size", f"{image['width']} × {image['height']} px"),
        ("Masks from", _mask_source(params)),
        ("Image model", _image_model(params) + (FINETUNED if finetuned else "")),
        *_condition(kind, silhouette),
        ("Synthetic pairs", f"{len(synthetic)} drawn"),
    ]
    for name, column, write in SAMPLED:
        if column in synthetic:
            values = synthetic[column].drop_duplicates()
            rows.append((name, "; ".join(write(content) for content in values)))
    return [*rows, ("Seed", str(params["seed"]))]


def _image_model(params: Mapping[str, Any]) -> str:
    kind = params["image_dm"]["kind"]
    if kind != "pair":
        return IMAGE_MODELS.get(kind, kind)
    settings = params["image_dm"]["pair"]
    name = settings["network"]["architecture"]
    against = ", against a discriminator" if settings["discriminator"]["enabled"] else ""
    return f"pair, {name}: {ARCHITECTURES.get(name, name)}{against}"


def _condition(kind: str, silhouette: bool) -> list[tuple[str, str]]:
    if kind in DRAW_MASKS:
        return [("Masks hold", "classes and object silhouette" if silhouette else "classes")]
    return [("Condition", "classes and object silhouette" if silhouette else "classes")]


def _mask_source(params: Mapping[str, Any]) -> str:
    if params["image_dm"]["kind"] in DRAW_MASKS:
        return "nowhere else: made with their photos"
    source = params["masks"]["source"]
    if source != "diffusion":
        return MASKS_FROM.get(source, source)
    kind = params["mask_dm"]["kind"]
    return f"a mask diffusion model ({kind}: {MASK_SPACES.get(kind, kind)})"


def _guidance(strength: float) -> str:
    if strength == 0:
        return "none (s = 0, w = 1)"
    return f"s = {strength:g} of the thesis's eq. 3.12, which is w = 1 + s = {1 + strength:g}"


SAMPLED = [
    ("Guidance", "guidance", _guidance),
    ("Sampler", "sampler", str),
    ("Steps", "steps", str),
    ("Enlarged by", "superres", lambda name: "resampling" if name == "none" else f"{name}, drawn"),
    ("Steps of the enlargement", "superres_steps", str),
]


def mix_kinds(mixes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Of each mix: `real`, `synthetic` or `real and synthetic`."""
    kinds = {}
    for name, entry in mixes.items():
        parts = [part for part in ("real", "synthetic") if entry[part] != 0]
        kinds[name] = " and ".join(parts) or "real"
    return kinds


def reach(counts: pd.DataFrame, scores: pd.DataFrame) -> str:
    """A sentence on what this many seeds and test photos can carry.

    Args:
        counts: pixel counts, for the number of test photos and groups.
        scores: architecture, mix, seed, defect_iou.
    """
    photos, groups = counts["id"].nunique(), counts["group"].nunique()
    by_run = scores.groupby(["architecture", "mix"])
    seeds = int(by_run["seed"].nunique().min())
    apart = float((by_run["defect_iou"].max() - by_run["defect_iou"].min()).max())
    text = f"Every figure rests on {_many(photos, 'real test photo')} in {_many(groups, 'group')} "
    if seeds == 1:
        text += "and a single training, which says nothing of the spread between trainings. "
    else:
        text += (
            f"and on {seeds} trainings that differ in their seed only; these lie up to "
            f"{apart:.2f} apart within one mix. "
        )
    return text + _verdicts(seeds, groups)


def _verdicts(seeds: int, groups: int) -> str:
    """What is needed for verdicts, or how much they ask for."""
    if seeds == 1:
        return "So no verdict is given: train with more seeds (segmenters.training.seeds)."
    if groups == 1:
        return "So no verdict is given: other test groups might have told the opposite."
    if seeds < ENOUGH_SEEDS:
        return (
            f"With fewer than {ENOUGH_SEEDS} seeds only a large difference can be told from chance."
        )
    return ""


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def flat(params: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Parameters as section → (dotted name within it, value), for printing."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for name, content in params.items():
        if isinstance(content, Mapping):
            sections[name] = list(_leaves(content, ""))
        else:
            sections.setdefault("general", []).append((name, _text(content)))
    return sections


def _leaves(node: Mapping[str, Any], above: str) -> list[tuple[str, str]]:
    rows = []
    for name, content in node.items():
        path = f"{above}{name}"
        if isinstance(content, Mapping) and content:
            rows.extend(_leaves(content, f"{path}."))
        else:
            rows.append((path, _text(content)))
    return rows


def _text(content: Any) -> str:
    if isinstance(content, bool) or content is None:
        return {True: "true", False: "false", None: "null"}[content]
    if isinstance(content, (list, tuple)):
        return ", ".join(_text(item) for item in content)
    return str(content)
