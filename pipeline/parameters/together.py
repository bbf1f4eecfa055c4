"""Parameters that are right one by one but not together, for the method that is chosen.

The stages refuse these too, but each when its turn comes, which may be after a long training.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from pipeline.data.mix_settings import read_mixes
from pipeline.diffusion.image_kinds import UNCONDITIONED_KINDS
from pipeline.diffusion.superres import SuperresSettings
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.errors import UserError
from pipeline.models.autoencoder import AutoencoderNetworkSettings, build_autoencoder
from pipeline.models.concat_unet import build_concat_unet
from pipeline.models.encoder_weights import SOURCES
from pipeline.models.pair_unet import build_pair_unet
from pipeline.models.spade_unet import build_network
from pipeline.models.superres_unet import build_superres_unet
from pipeline.models.timed_discriminator import build_timed_discriminator
from pipeline.parameters.schema import Parameters, parse_parameters

Size = tuple[int, int]
_MOMENTS = ("best", "last")
# How many labels there are is known with the data; no size hangs on it.
_CHANNELS = 3


def check_parameters(content: dict[str, Any]) -> Parameters:
    """Check the whole of params.yaml, one by one and then together.

    Raises:
        UserError: all that is wrong, one line each.
    """
    parameters = parse_parameters(content)
    faults = []
    for check in _CHECKS:
        faults += check(parameters)
    for attempt in (lambda: read_mixes(content), lambda: _build_networks(parameters)):
        try:
            attempt()
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n       ".join(faults))
    return parameters


def _draws_masks(p: Parameters) -> bool:
    return p.masks.source == "diffusion" and p.image_dm.kind not in UNCONDITIONED_KINDS


def _subset(p: Parameters) -> Iterator[str]:
    if p.subset not in p.subsets:
        yield f"subset: got {p.subset!r}, expected one of {', '.join(p.subsets)}"


def _object(p: Parameters) -> Iterator[str]:
    if p.condition.object and p.dataset.object.source == "none":
        yield (
            "condition.object: got true, but dataset.object.source is none, so there are no "
            "silhouettes; choose threshold or category there, or set condition.object to false"
        )


def _finetuning(p: Parameters) -> Iterator[str]:
    if p.image_dm.finetune.enabled and p.image_dm.kind in UNCONDITIONED_KINDS:
        yield (
            f"image_dm.finetune.enabled: got true, but {p.image_dm.kind} has no condition to drop; "
            "set it to false"
        )


def _superres(p: Parameters) -> Iterator[str]:
    if p.sampling.superres.enabled and p.image_dm.reduction != 2:
        yield (
            "sampling.superres.enabled: got true, but image_dm.reduction is "
            f"{p.image_dm.reduction}, so nothing is drawn small; set image_dm.reduction to 2, or "
            "sampling.superres.enabled to false"
        )


def _size(p: Parameters) -> Iterator[str]:
    for name in ("height", "width"):
        side = getattr(p.image, name)
        if side % p.image_dm.reduction:
            yield f"image.{name}: got {side}, expected a multiple of 2, as image_dm.reduction is 2"


def _encoder_weights(p: Parameters) -> Iterator[str]:
    for name, network in (("filter", p.filter.network), ("segmenters", p.segmenters.network)):
        weights = network.encoder_weights
        if weights is not None and weights not in SOURCES and not Path(weights).is_file():
            yield (
                f"{name}.network.encoder_weights: got {weights!r}, expected "
                f"{', '.join(SOURCES)}, null or an existing file"
            )


def _drawing(p: Parameters) -> Iterator[str]:
    """No sampler takes more steps than there are timesteps, or weights that nobody keeps."""
    models = []
    if p.image_dm.chosen is not None:
        models.append((f"image_dm.{p.image_dm.kind}", p.image_dm.chosen, "sampling", p.sampling))
    if _draws_masks(p):
        own = getattr(p.mask_dm, p.mask_dm.kind)
        sampling = p.masks.diffusion.sampling
        models.append((f"mask_dm.{p.mask_dm.kind}", own, "masks.diffusion.sampling", sampling))
    if p.sampling.superres.enabled:
        models.append(("superres", p.superres, "sampling.superres", p.sampling.superres))
    for model, own, where, sampling in models:
        timesteps, training = own.diffusion.timesteps, own.training
        kept = [*_MOMENTS, *training.candidates]
        if sampling.checkpoint not in kept:
            yield (
                f"{where}.checkpoint: got {sampling.checkpoint}, expected {' or '.join(kept)}; "
                f"or name it in {model}.training.candidates"
            )
        steps = {f"{where}.steps": sampling.steps} | _steps_in_training(model, training)
        for name, total in steps.items():
            if total > timesteps:
                yield f"{name}: got {total}, expected at most {timesteps}, {model}'s timesteps"


def _steps_in_training(model: str, training: TrainingSettings) -> dict[str, int]:
    drawn = {"preview": training.preview, "colour_divergence": training.colour_divergence}
    return {
        f"{model}.training.{name}.steps": settings.steps
        for name, settings in drawn.items()
        if settings.every_steps is not None
    }


_CHECKS: list[Callable[[Parameters], Iterator[str]]] = [
    *(_subset, _object, _finetuning, _superres, _size, _encoder_weights, _drawing)
]


def _build_networks(p: Parameters) -> None:
    """Build what will be trained without its weights: sides, levels and heads have to fit."""
    whole = (p.image.height, p.image.width)
    drawn = (whole[0] // p.image_dm.reduction, whole[1] // p.image_dm.reduction)
    with torch.device("meta"):
        _IMAGE_NETWORKS[p.image_dm.kind](p, drawn)
        if _draws_masks(p):
            _MASK_NETWORKS[p.mask_dm.kind](p, drawn)
        if p.sampling.superres.enabled:
            _build_superres(p.superres, whole)


def _build_sdm(p: Parameters, size: Size) -> None:
    sdm = p.image_dm.sdm
    build_network(sdm.network, _CHANNELS, sdm.diffusion.output_groups, size)


def _build_ldm(p: Parameters, size: Size) -> None:
    if p.autoencoder.pretrained is None:  # what a pretrained one makes of a photo is not known yet
        small = _latent_size(p.autoencoder.network, size)
        network, channels = p.image_dm.ldm.network, p.autoencoder.network.latent_channels
        build_concat_unet(network, channels, small, 0, name="image_dm.ldm.network")


def _build_pair(p: Parameters, size: Size) -> None:
    pair = p.image_dm.pair
    build_pair_unet(pair.network, _CHANNELS, size)
    if pair.discriminator.enabled:
        build_timed_discriminator(pair.discriminator.network, _CHANNELS, size)


def _build_latent_masks(p: Parameters, size: Size) -> None:
    if p.mask_autoencoder.pretrained is None:
        own = p.mask_autoencoder.network
        network, small = p.mask_dm.latent.network, _latent_size(own, size)
        build_concat_unet(network, own.latent_channels, small, 0, name="mask_dm.latent.network")


def _build_pixel_masks(p: Parameters, size: Size) -> None:
    build_concat_unet(p.mask_dm.pixel.network, _CHANNELS, size, 0, name="mask_dm.pixel.network")


def _build_superres(superres: SuperresSettings, size: Size) -> None:
    build_superres_unet(superres.network, _CHANNELS, _CHANNELS + 1, size)


def _latent_size(network: AutoencoderNetworkSettings, size: Size) -> Size:
    return build_autoencoder(network, _CHANNELS).latent_size(*size)


_IMAGE_NETWORKS: dict[str, Callable[[Parameters, Size], None]] = {
    "sdm": _build_sdm,
    "ldm": _build_ldm,
    "pair": _build_pair,
    "copy_paste": lambda _p, _size: None,
}
_MASK_NETWORKS: dict[str, Callable[[Parameters, Size], None]] = {
    "latent": _build_latent_masks,
    "pixel": _build_pixel_masks,
}
