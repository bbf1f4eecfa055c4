"""Settings of the report: section `report` of params.yaml."""

from pydantic import Field

from pipeline.io.params import Settings


class ReportSettings(Settings):
    """How much the page shows."""

    pairs: int = Field(ge=1, le=400)  # real pairs in the gallery, and as many synthetic ones
    ranked_pairs: int = Field(ge=1, le=100)  # that the filter ranked first, and as many last
    resamples: int = Field(ge=100, le=100_000)  # bootstrap draws behind each interval
