"""Section `audit`: the search for near-identical photos on two sides of the split."""

from pydantic import Field

from pipeline.io.params import Settings


class AuditSettings(Settings):
    """What the audit calls near-identical.

    Attributes:
        enabled: whether photos are compared at all.
        false_pairs: how many pairs of unrelated photos may be reported by chance, expected over
            the whole set; it sets the threshold (pipeline/audit/chance.py).
        pictured_pairs: pairs in the picture.
    """

    enabled: bool = True
    false_pairs: float = Field(default=0.05, gt=0)
    pictured_pairs: int = Field(default=24, ge=1)
