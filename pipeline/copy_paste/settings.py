"""How pairs are composed; the defaults are those of Najafian et al. 2023."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.data.photometric import PhotometricSettings
from pipeline.io.params import Settings

Count = Annotated[int, Field(ge=0)]
Range = Annotated[list[Count], Field(min_length=2, max_length=2)]
Probability = Annotated[float, Field(ge=0, le=1)]


class CopyPasteSettings(Settings):
    """Section `image_dm.copy_paste`.

    Attributes:
        source_photos: annotated training photos that cut-outs are taken from (the paper: a few);
            None = all.
        minimal_pixels: smallest region that is cut out.
        backgrounds: `photos` without any object, object-free `areas` of the source photos, or
            photos where there are any (`auto`).
        minimal_free: areas: smallest share of a photo's pixels that show no object; with
            silhouettes, of the object's pixels that are bare.
        fakes: fewest and most cut-outs of what is no object, pasted first and left unlabelled;
            None = as many as one of the source photos, drawn at random, has regions.
        objects: the same for the objects pasted over them.
        horizontal_flip, vertical_flip: probabilities for each cut-out.
        rotation_degrees: a cut-out is turned by an angle from ± this …
        rotation: … with this probability.
        elastic_shift: a cut-out is bent by at most this share of its longer side …
        elastic: … with this probability.
        photometric: changes of the composed photo as a whole.
    """

    source_photos: int | None = Field(default=None, ge=1)
    minimal_pixels: int = Field(default=1, ge=1)
    backgrounds: Literal["photos", "areas", "auto"] = "auto"
    minimal_free: float = Field(default=0.5, gt=0, le=1)
    fakes: Range | None = Field(default=[10, 100])
    objects: Range | None = Field(default=[10, 100])
    horizontal_flip: Probability = 0.5
    vertical_flip: Probability = 0.5
    rotation_degrees: float = Field(default=10.0, ge=0, le=180)
    rotation: Probability = 0.5
    elastic_shift: float = Field(default=0.05, ge=0, le=0.5)
    elastic: Probability = 0.25
    photometric: PhotometricSettings = PhotometricSettings(
        brightness=0.3, contrast=0.3, hue=0.05, sharpness=0.5
    )

    @model_validator(mode="after")
    def _ranges_ascend(self) -> "CopyPasteSettings":
        for name in ("fakes", "objects"):
            count = getattr(self, name)
            if count is not None and count[0] > count[1]:
                raise ValueError(f"{name} as [fewest, most], got {count}")
        if self.objects == [0, 0]:
            raise ValueError("objects other than [0, 0], which pastes nothing")
        return self
