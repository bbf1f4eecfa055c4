"""What the page says of near-identical photos on two sides of the split."""

import json
import shutil
from pathlib import Path
from typing import Any

from pipeline.io.outs import written_by

AUDIT = Path("data/audit")


def section(folder: Path) -> dict[str, Any] | None:
    """What audit-split told, and its picture where it found pairs; None if it was switched off.

    Args:
        folder: the page's.
    """
    path = AUDIT / "summary.json"
    if not path.exists():
        return None
    with written_by("audit-split", path):
        found = json.loads(path.read_text(encoding="utf-8"))
        told, pairs = found["told"], found["pairs_across_groups"]
    picture = None
    if pairs:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(AUDIT / "pairs.png", folder / "images/leakage.png")
        picture = "images/leakage.png"
    return {"told": told, "picture": picture}
