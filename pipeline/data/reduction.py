"""Pairs at a fraction of their size, for models that draw small and are enlarged afterwards."""

import numpy as np

from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError


def reduce_photos(images: np.ndarray, factor: int) -> np.ndarray:
    """Photos uint8 N×H×W×3 at H/factor × W/factor: the mean over blocks of pixels.

    At factor 2 that is bilinear resampling, as in SynthSet.
    """
    total, height, width, channels = images.shape
    blocks = images.reshape(total, height // factor, factor, width // factor, factor, channels)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)


def reduce_labels(labels: np.ndarray, factor: int) -> np.ndarray:
    """Masks, silhouettes or label maps …×H×W at a fraction of their size, by nearest neighbour."""
    return np.ascontiguousarray(labels[..., ::factor, ::factor])


def reduce_pairs(pairs: Pairs, factor: int) -> Pairs:
    """The same pairs at a fraction of their size.

    Raises:
        UserError: the factor does not divide the size.
    """
    if factor == 1:
        return pairs
    check_divisible(*pairs.masks.shape[1:], factor)
    return Pairs(
        ids=pairs.ids,
        images=reduce_photos(pairs.images, factor),
        masks=reduce_labels(pairs.masks, factor),
        objects=None if pairs.objects is None else reduce_labels(pairs.objects, factor),
    )


def check_divisible(height: int, width: int, factor: int) -> None:
    """Make sure that pairs of that size can be made smaller by `factor`.

    Raises:
        UserError: they cannot.
    """
    if height % factor or width % factor:
        raise UserError(
            f"image_dm.reduction: got {factor}, which does not divide image.height {height} and "
            f"image.width {width}; change either"
        )
