"""Settings of the report: section `report` of params.yaml."""

from pydantic import Field

from pipeline.io.params import Settings


class ReportSettings(Settings):
    """How much the page shows."""

    pairs: int = Field(ge=1, le=400)  # real pairs in the gallery, and as many synthetic ones
    ranked_pairs: int = Field(ge=1, le=100)  # that the filter ranked first, and as many last
    masks: int = Field(ge=0, le=400)  # training masks shown with all that was drawn for them
    photos_of_a_mask: int = Field(ge=2, le=100)  # most of them
    resamples: int = Field(ge=100, le=100_000)  # bootstrap draws behind each interval
