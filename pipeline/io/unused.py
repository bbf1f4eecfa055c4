"""What stages leave that the chosen method does not need.

DVC runs every stage of the pipeline; one that is not used writes the reason instead of its output,
so that the stages after it, the report and a reader can tell.
"""

from pathlib import Path

from pipeline.io.atomic import output_folder, write_json

UNUSED_FILE = "unused.json"


def write_unused(stage: str, out: Path, reason: str) -> None:
    """Make `out` a folder that holds nothing but the reason, and print it."""
    with output_folder(out) as folder:
        write_json(folder / UNUSED_FILE, {"used": False, "reason": reason})
    print(f"{stage}: not used, {reason}")


def is_unused(folder: Path) -> bool:
    """Whether a stage left its folder so."""
    return (folder / UNUSED_FILE).exists()
