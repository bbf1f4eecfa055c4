"""`python -m benchmarks.mask_codecs`: what becomes of small defects in an autoencoder of masks.

Trains the autoencoder of `mask_autoencoder` (params.yaml) on a prepared set once for each code of
the labels, all else equal, and compares decode(encode(mask)) with the mask on the validation set:
one channel a label, bits, and the All-Latent thesis's way, masks dressed as RGB photos.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.autoencoding.masks import train_mask_autoencoder
from pipeline.autoencoding.settings import MaskAutoencoderSettings
from pipeline.io.atomic import write_text
from pipeline.io.errors import UserError, run
from pipeline.io.manifests import read_split
from pipeline.io.params import PARAMS_FILE, parse, read_params, section, value
from pipeline.models.conditioning import ConditionSettings
from pipeline.models.label_codes import CODES


def main() -> None:
    """Command line: prepared set, steps, codes, where to write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--steps", type=int, help="instead of mask_autoencoder.training.max_steps")
    parser.add_argument("--codes", nargs="+", choices=list(CODES), default=list(CODES))
    parser.add_argument("--out", type=Path, help="folder for mask_codecs.csv and mask_codecs.md")
    arguments = parser.parse_args()
    params = read_params(arguments.params)
    if read_split(arguments.prepared, "val").empty:
        raise UserError(f"{arguments.prepared}: got 0 validation pairs; raise split.val")
    rows = [_row(code, params, arguments) for code in arguments.codes]
    table = pd.DataFrame(rows)
    text = as_markdown(table)
    print(text)
    if arguments.out is not None:
        write_text(arguments.out / "mask_codecs.csv", table.to_csv(index=False))
        write_text(arguments.out / "mask_codecs.md", text + "\n")


def _row(code: str, params: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    content = dict(value("mask_autoencoder", params)) | {"code": code}
    if arguments.steps is not None:
        content["training"] = content["training"] | {"max_steps": arguments.steps}
    settings = parse(MaskAutoencoderSettings, "mask_autoencoder", content)
    with_object = section(ConditionSettings, "condition", params).object
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / code
        seed = value("seed", params)
        train_mask_autoencoder(arguments.prepared, out, settings, with_object, seed)
        training = json.loads((out / "training.json").read_text(encoding="utf-8"))
    errors = training["errors"]["val"]
    small = errors["small_regions"]
    return {
        "code": code,
        "latents": "×".join(map(str, training["latent_shape"])),
        **{f"IoU {name}": figure for name, figure in errors["iou"].items()},
        "small regions": small["count"],
        "their IoU": small["iou"],
        "lost": small["lost"],
        "steps": training["steps"],
        "seconds": round(time.monotonic() - began),
    }


def as_markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, figures to three places."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    for row in table.itertuples(index=False):
        cells = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
