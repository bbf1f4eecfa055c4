"""What a trained autoencoder does to real pairs: statistics of its latents, and its errors."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from pipeline.autoencoding.examples import Batch, Examples
from pipeline.models.autoencoder import Autoencoder, Codec, with_statistics
from pipeline.models.label_codes import LabelCode

BATCH_SIZE = 16
SMALL_SHARE = 0.005  # a region is small up to this share of the photo's pixels
MARGIN_PX = 2  # around a small region, within which predicted pixels count as its
PEAK = 255.0


@torch.no_grad()
def measure_latents(autoencoder: Autoencoder, examples: Examples, device: torch.device) -> Codec:
    """The codec of an autoencoder, by mean and deviation of each latent channel over `examples`."""
    autoencoder.to(device).eval()
    latents = [autoencoder.latents(batch.x).double().cpu() for batch in _batches(examples, device)]
    points = torch.cat(latents).transpose(0, 1).flatten(1)  # c×(N·h·w)
    mean, std = points.mean(dim=1).float(), points.std(dim=1, correction=0).float()
    return with_statistics(autoencoder, mean.to(device), std.to(device))


def photo_errors(codec: Codec, examples: Examples, device: torch.device) -> dict[str, float | None]:
    """PSNR in dB of decoded photos, of 8 bits a colour, over all pixels of the set together.

    Returns:
        `psnr`, and `psnr_defects` over the pixels of defects alone (None if there are none).
    """
    squares = torch.zeros(2, dtype=torch.float64)  # of all pixels, of the defects'
    counts = torch.zeros(2, dtype=torch.float64)
    for batch in _batches(examples, device):
        decoded = codec.decode(codec.encode(batch.x))
        original, decoded = (
            ((x + 1) * PEAK / 2).round().clamp(0, PEAK) for x in (batch.x, decoded)
        )
        square = (decoded - original).square().mean(dim=1).double().cpu()  # N×H×W
        defects = batch.labels.cpu() > 0
        squares += torch.stack([square.sum(), square[defects].sum()])
        counts += torch.tensor([square.numel(), defects.sum()])
    names = ("psnr", "psnr_defects")
    return {name: _psnr(s, n) for name, s, n in zip(names, squares, counts, strict=True)}


def _psnr(squares: Tensor, count: Tensor) -> float | None:
    if count == 0:
        return None
    mean = max(float(squares / count), 1e-10)  # no error at all: 148 dB
    return round(10 * float(np.log10(PEAK**2 / mean)), 3)


def label_errors(
    codec: Codec, code: LabelCode, examples: Examples, names: list[str], device: torch.device
) -> dict[str, Any]:
    """How well label maps survive encoding and decoding.

    Args:
        codec: of the maps' codewords.
        code: from and to labels.
        examples: label maps.
        names: of the classes, background first; a further label is the bare object.
        device: of the codec.

    Returns:
        `iou`: of each class but the background over the set as a whole, and of `object` (the
        silhouette) where there is one; None = neither has a pixel of it. `small_regions`: how many
        connected regions of at most `SMALL_SHARE` of the photo there are, the mean of their IoU
        (None without any), and how many are lost without a trace.
    """
    originals, decoded = [], []
    for batch in _batches(examples, device):
        originals.append(batch.labels.cpu().numpy())
        decoded.append(code.decode(codec.decode(codec.encode(batch.x))).cpu().numpy())
    truth, found = np.concatenate(originals), np.concatenate(decoded)  # N×H×W
    iou = {name: _iou(truth == i, found == i) for i, name in enumerate(names) if i > 0}
    if code.total_labels > len(names):
        iou["object"] = _iou(truth > 0, found > 0)
    regions = [
        figure
        for label in range(1, len(names))
        for one, other in zip(truth == label, found == label, strict=True)
        for figure in small_region_ious(one, other)
    ]
    small = {
        "count": len(regions),
        "iou": round(float(np.mean(regions)), 5) if regions else None,
        "lost": sum(figure == 0 for figure in regions),
    }
    return {"iou": iou, "small_regions": small}


def small_region_ious(truth: np.ndarray, found: np.ndarray) -> list[float]:
    """IoU of each small connected region of `truth` with what was `found` near it.

    Args:
        truth: bool H×W.
        found: bool H×W; pixels within `MARGIN_PX` of the region's box count, unless they belong
            to another region.
    """
    regions, total = ndimage.label(truth, structure=np.ones((3, 3)))
    figures = []
    for index, (rows, columns) in enumerate(ndimage.find_objects(regions), start=1):
        if (regions[rows, columns] == index).sum() > SMALL_SHARE * truth.size:
            continue
        window = tuple(
            slice(max(0, s.start - MARGIN_PX), s.stop + MARGIN_PX) for s in (rows, columns)
        )
        region = regions[window] == index
        near = found[window] & (region | (regions[window] == 0))
        figures.append(float((region & near).sum() / (region | near).sum()))
    assert len(ndimage.find_objects(regions)) == total
    return figures


def _iou(truth: np.ndarray, found: np.ndarray) -> float | None:
    union = (truth | found).sum()
    return None if union == 0 else round(float((truth & found).sum() / union), 5)


def _batches(examples: Examples, device: torch.device) -> Iterator[Batch]:
    for first in range(0, len(examples), BATCH_SIZE):
        yield examples.plain(list(range(first, min(first + BATCH_SIZE, len(examples))))).to(device)
