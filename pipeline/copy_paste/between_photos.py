"""Copy and paste between training photos (Ghiasi et al. 2021, arXiv 2012.07177, section 3).

Two photos are drawn and moved at random; some of the regions of the one are pasted onto the other
where they lie, over what is labelled there, with hard edges. Unlike `composition`, which is a
generator with backgrounds of its own, this is an augmentation: the photo keeps its own regions.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.copy_paste.cut_outs import CutOut, find_cut_outs
from pipeline.data.augmentation import GeometricSettings, transform_pair
from pipeline.data.pairs import Pairs
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of, write_image, write_mask
from pipeline.io.manifests import ClassInfo
from pipeline.io.seeding import numpy_rng

SMALLEST_REGION_PX = 1


class PastingSettings(GeometricSettings):
    """Section `segmenters.pasting`: how both photos are moved before one gives to the other."""


@dataclass(frozen=True)
class Pasted:
    """A composed pair: uint8 H×W×3, uint8 H×W class indices, and the photo it is based on."""

    image: np.ndarray
    mask: np.ndarray
    base: int


def paste_between(pairs: Pairs, settings: PastingSettings, seed: int, index: int) -> Pasted:
    """The composed pair of that index.

    Args:
        pairs: training pairs, with silhouettes if the regions belong on an object.
        settings: how photos are moved.
        seed: the pipeline's.
        index: of the pair, from 0; it depends on nothing else.

    Raises:
        UserError: no photo shows a region.
    """
    rng = numpy_rng(seed, "pasting", index)
    with_regions = np.flatnonzero(pairs.masks.any(axis=(1, 2)))
    if not len(with_regions):
        raise UserError(
            f"pasted: none of the mix's {len(pairs)} real pairs shows a region that could be "
            "pasted; set it to 0 or raise real"
        )
    base = int(rng.integers(len(pairs)))
    giver = int(rng.choice(with_regions))
    image, mask, silhouette = _moved(rng, pairs, base, settings)
    given, labels, _ = _moved(rng, pairs, giver, settings)
    for cut_out in _some(rng, find_cut_outs(labels, giver, SMALLEST_REGION_PX)):
        box = cut_out.box()
        shape = cut_out.shape if silhouette is None else cut_out.shape & silhouette[box]
        image[box][shape] = given[box][shape]
        mask[box][shape] = cut_out.label
    return Pasted(image, mask, base)


def write_pasted(
    folder: Path,
    pairs: Pairs,
    frame: pd.DataFrame,
    count: int,
    settings: PastingSettings,
    classes: list[ClassInfo],
    seed: int,
) -> pd.DataFrame:
    """Write `count` composed pairs below `folder`.

    Args:
        folder: gets images/ and masks/.
        pairs: the training pairs of `frame`, in its order.
        frame: their manifest; a composed pair takes the group of the photo it is based on.
        count: how many.
        settings: how photos are moved.
        classes: background first; give the masks their colours.
        seed: the pipeline's.

    Returns:
        Their manifest: id, image, mask, group, image_sha256, mask_sha256.
    """
    rows = []
    for index in range(count):
        pasted = paste_between(pairs, settings, seed, index)
        name = f"pasted_{index:06d}"
        row = {"id": name, "image": f"images/{name}.png", "mask": f"masks/{name}.png"}
        write_image(folder / row["image"], pasted.image)
        write_mask(folder / row["mask"], pasted.mask, [item.colour for item in classes])
        hashes = {f"{kind}_sha256": sha256_of(folder / row[kind]) for kind in ("image", "mask")}
        rows.append(row | hashes | {"group": frame["group"].iloc[pasted.base]})
    return pd.DataFrame(rows)


def _moved(
    rng: np.random.Generator, pairs: Pairs, index: int, settings: PastingSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    silhouette = None if pairs.objects is None else pairs.objects[index]
    moved = transform_pair(rng, pairs.images[index], pairs.masks[index], silhouette, settings)
    # contiguous arrays may be those of `pairs` themselves, which are pasted on below
    return moved[0].copy(), moved[1].copy(), moved[2]


def _some(rng: np.random.Generator, cut_outs: list[CutOut]) -> list[CutOut]:
    """A random subset, of one or more; none where moving left nothing in the frame."""
    if not cut_outs:
        return []
    chosen = rng.permutation(len(cut_outs))[: rng.integers(1, len(cut_outs) + 1)]
    return [cut_outs[place] for place in sorted(chosen)]
