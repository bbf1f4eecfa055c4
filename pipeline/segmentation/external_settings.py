"""Section `external`: whether the trained segmenters are tried on photos of another domain.

Needs no PyTorch, whose import would take longer than a stage that is off may.
"""

from typing import Any

from pipeline.io.params import Settings


class ExternalSettings(Settings):
    """The switch; the parts are checked by those who use them once it is on."""

    enabled: bool = False
    dataset: dict[str, Any]  # DatasetSettings
    split: dict[str, Any]  # ExternalSplitSettings
    finetuning: dict[str, Any]  # FinetuningSettings
