"""Pairs without a model: cut-outs of real objects pasted on object-free photos.

The baseline of SynthSet, after Najafian et al. 2023, "Semi-self-supervised learning for semantic
segmentation in images with dense patterns": on an object-free photo first come fake cut-outs,
patches of background in the shapes of real objects that stay unlabelled, so that an edge of paste
alone tells nothing; then real ones, the later over the earlier, with hard edges; then the colours
of the whole photo are changed.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from pipeline.copy_paste.backgrounds import find_backgrounds
from pipeline.copy_paste.cut_outs import CutOut, choose_sources, cut_outs_of, draw_fake
from pipeline.copy_paste.deformation import deform
from pipeline.copy_paste.settings import CopyPasteSettings
from pipeline.data.pairs import Pairs
from pipeline.data.photometric import change_colours
from pipeline.io.manifests import ClassInfo
from pipeline.io.seeding import numpy_rng


@dataclass(frozen=True)
class Composed:
    """A pair, and the training photos it is made of.

    Attributes:
        image: uint8 H×W×3.
        mask: uint8 H×W, class indices; 0 on fakes.
        object: bool H×W, the silhouette of the background's object; None where the set has none.
        source_ids: the background's photo first, then those of the cut-outs in ascending order.
    """

    image: np.ndarray
    mask: np.ndarray
    object: np.ndarray | None
    source_ids: tuple[str, ...]


class CopyPaste:
    """Draws composed pairs; each depends on the seed and its index only."""

    def __init__(
        self, pairs: Pairs, classes: list[ClassInfo], settings: CopyPasteSettings, seed: int
    ) -> None:
        """Find cut-outs and backgrounds in the training pairs.

        Raises:
            UserError: there is nothing to cut out, or no background can be had.
        """
        found = cut_outs_of(pairs, classes, settings.minimal_pixels)
        self.sources = choose_sources(
            found, settings.source_photos, numpy_rng(seed, "copy-paste sources")
        )
        self.cut_outs = list(chain.from_iterable(found[photo] for photo in self.sources))
        self.counts = [len(found[photo]) for photo in self.sources]
        self.backgrounds = find_backgrounds(pairs, self.sources, settings)
        self.pairs, self.settings, self.seed = pairs, settings, seed

    def draw(self, index: int) -> Composed:
        """The pair of that index.

        Where no place is found for a fake (the source photos are full of objects), there is one
        less.
        """
        rng = numpy_rng(self.seed, "copy-paste", index)
        photo = self.backgrounds.photos[int(rng.integers(len(self.backgrounds.photos)))]
        image = np.array(self.backgrounds.make(rng, photo))
        mask = np.zeros(image.shape[:2], np.uint8)
        silhouette = None if self.pairs.objects is None else self.pairs.objects[photo].copy()
        total_fakes = self._count(rng, self.settings.fakes)
        total_objects = self._count(rng, self.settings.objects)
        used = []
        for number in range(total_fakes + total_objects):
            cut_out = self.cut_outs[int(rng.integers(len(self.cut_outs)))]
            if number < total_fakes:
                cut_out = draw_fake(rng, self.pairs, self.sources, cut_out.shape)
            if cut_out is not None:
                self._paste(rng, cut_out, image, mask, silhouette)
                used.append(cut_out.photo)
        image = change_colours(rng, image, self.settings.photometric)
        ids = [self.pairs.ids[i] for i in (photo, *sorted(set(used) - {photo}))]
        return Composed(image, mask, silhouette, tuple(ids))

    def _count(self, rng: np.random.Generator, limits: list[int] | None) -> int:
        if limits is None:
            return self.counts[int(rng.integers(len(self.counts)))]
        return int(rng.integers(limits[0], limits[1] + 1))

    def _paste(
        self,
        rng: np.random.Generator,
        cut_out: CutOut,
        image: np.ndarray,
        mask: np.ndarray,
        silhouette: np.ndarray | None,
    ) -> None:
        """Paste a deformed cut-out in place; what leaves the frame or the object is cut off."""
        colours = self.pairs.images[cut_out.photo][cut_out.box()]
        colours, shape = deform(rng, colours, cut_out.shape, self.settings)
        centre = _draw_centre(rng, mask.shape, silhouette)
        y, x = np.nonzero(shape)
        rows = y + centre[0] - shape.shape[0] // 2
        columns = x + centre[1] - shape.shape[1] // 2
        seen = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
        if silhouette is not None:
            seen[seen] = silhouette[rows[seen], columns[seen]]
        rows, columns = rows[seen], columns[seen]
        image[rows, columns] = colours[y[seen], x[seen]]
        mask[rows, columns] = cut_out.label


def _draw_centre(
    rng: np.random.Generator, size: tuple[int, ...], silhouette: np.ndarray | None
) -> tuple[int, int]:
    """A random pixel of the frame, or of the object."""
    if silhouette is None:
        return int(rng.integers(size[0])), int(rng.integers(size[1]))
    y, x = np.nonzero(silhouette)
    number = int(rng.integers(len(y)))
    return int(y[number]), int(x[number])
