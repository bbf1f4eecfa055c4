"""What the page says of near-identical photos on two sides of the split."""

import json
import shutil
from pathlib import Path
from typing import Any

AUDIT = Path("data/audit")


def section(folder: Path) -> dict[str, Any] | None:
    """What audit-split told, and its picture where it found pairs; None if it was switched off.

    Args:
        folder: the page's.
    """
    if not (AUDIT / "summary.json").exists():
        return None
    found = json.loads((AUDIT / "summary.json").read_text(encoding="utf-8"))
    picture = None
    if found["pairs_across_groups"]:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(AUDIT / "pairs.png", folder / "images/leakage.png")
        picture = "images/leakage.png"
    return {"told": found["told"], "picture": picture}
