"""Settings of `evaluate-samples`; needs no PyTorch."""

from pydantic import Field

from pipeline.io.params import Settings


class QualitySettings(Settings):
    """How much is drawn for the figures that are means over draws."""

    # of KID; a subset holds at most half of the photos of the smaller set
    kid_subsets: int = Field(ge=2)
    kid_subset_size: int = Field(ge=2)
    # k of precision and recall
    neighbours: int = Field(ge=1)
    # of photos, for each mean perceptual distance; all of them where there are fewer
    diversity_pairs: int = Field(ge=2)
    # synthetic photos pictured above their nearest training photos, the most suspicious first
    pictured_photos: int = Field(ge=1)
    # of each channel's histogram
    colour_bins: int = Field(ge=2, le=256)
