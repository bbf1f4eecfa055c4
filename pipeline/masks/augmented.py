"""Training masks under random flips and affine transformations as conditions.

All-Latent as semantic image synthesis (chapter 5 of the thesis): rotation, translation, scaling
and flips, which leave the classes as they are. Mask and silhouette undergo the same
transformation, so a defect stays where it was on its object.
"""

import numpy as np
from pydantic import Field, model_validator

from pipeline.data.augmentation import GeometricSettings, transform_pair
from pipeline.data.pairs import Pairs
from pipeline.io.seeding import numpy_rng
from pipeline.masks.real import MaskDraw, MaskSource, TurnSettings, mask_in_turn


class AugmentedMaskSettings(TurnSettings, GeometricSettings):
    """How far masks are transformed, and what must be left of their defects."""

    minimal_share: float = Field(ge=0, le=1)  # of each class's pixels, after the transformation
    tries: int = Field(ge=1)  # transformations tried before the mask is used as it is

    @model_validator(mode="after")
    def _share_is_reachable(self) -> "AugmentedMaskSettings":
        if self.minimal_share > self.scale[0] ** 2:
            raise ValueError(
                f"minimal_share at most {self.scale[0] ** 2:.2g}, what scale {self.scale[0]} "
                f"leaves of an area, got {self.minimal_share}"
            )
        return self


def augmented_masks(pairs: Pairs, settings: AugmentedMaskSettings, seed: int) -> MaskSource:
    """The training masks in turn, each time transformed anew.

    A transformation that leaves less than `minimal_share` of any class's pixels (a defect out of
    the frame, or lost between pixels) is drawn again, up to `tries` times; then the mask is used
    as it is. The result depends on the seed and the index only.
    """

    def draw(index: int) -> MaskDraw:
        original = mask_in_turn(pairs, settings, seed, index)
        rng = numpy_rng(seed, "augmented mask", index)
        for _ in range(settings.tries):
            _, mask, silhouette = transform_pair(
                rng, None, original.mask, original.object, settings
            )
            if _keeps_defects(original.mask, mask, settings.minimal_share):
                return MaskDraw(mask, silhouette, original.mask_id)
        return original

    return draw


def _keeps_defects(before: np.ndarray, after: np.ndarray, minimal_share: float) -> bool:
    pixels_before = np.bincount(before.ravel(), minlength=256)[1:]  # without the background
    pixels_after = np.bincount(after.ravel(), minlength=256)[1:]
    present = pixels_before > 0
    needed = np.maximum(minimal_share * pixels_before[present], 1)
    return bool(np.all(pixels_after[present] >= needed))
