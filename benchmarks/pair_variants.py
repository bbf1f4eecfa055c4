"""`python -m benchmarks.pair_variants`: do image and mask agree, whatever the pair network is?

Trains the model of `image_dm.pair` (params.yaml) on a prepared set once for each architecture, each
way to moderate skips, with and without discriminator, all else equal, and draws pairs from each.
Agreement is the defect IoU between a drawn mask and what a U-Net trained on the real training
pairs (`filter`) sees in the drawn photo, the mean over pairs. Two rows tell its scale: the real
validation pairs, and the same drawn photos with the masks of their neighbours.
"""

import argparse
import io
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.mask_codecs import as_markdown
from pipeline.data.pairs import Pairs
from pipeline.data.split_pairs import read_pairs
from pipeline.diffusion.drawing import with_masks
from pipeline.diffusion.image_model import load_image_model
from pipeline.diffusion.image_training import train_image_model
from pipeline.diffusion.pair_kind import PairKind, PairSettings
from pipeline.diffusion.previews import painted_masks
from pipeline.diffusion.sampling import SamplerSettings
from pipeline.evaluation.colour_divergence import colour_divergence, colour_histograms
from pipeline.io.atomic import write_bytes, write_text
from pipeline.io.errors import UserError, run
from pipeline.io.manifests import read_classes
from pipeline.io.params import PARAMS_FILE, parse, read_params, section, value
from pipeline.models.conditioning import ConditionSettings
from pipeline.models.segmenters import NetworkSettings
from pipeline.segmentation.judges import Judges
from pipeline.segmentation.training import TrainingSettings
from pipeline.training.grids import tile

SHOWN_PAIRS = 4
COUNTS = ("parameters", "steps", "seconds")  # not known of the two rows for scale
PALETTE_COLOURS = 64  # keeps the picture small


class Variant(NamedTuple):
    """What differs between the trainings."""

    architecture: str
    skips: str
    discriminator: bool

    @property
    def name(self) -> str:
        """For the picture."""
        skips = "" if self.architecture == "concat" else f"\n{self.skips}"
        return f"{self.architecture}{skips}" + ("\nagainst D" if self.discriminator else "")


# the concatenating network has no other branch whose features could be moderated
VARIANTS = [
    *(Variant("concat", "direct", judged) for judged in (False, True)),
    *(
        Variant(*choices)
        for choices in product(
            ("shared_encoder", "two_encoder"), ("direct", "zero_conv", "scale_u"), (False, True)
        )
    ),
]


def main() -> None:
    """Command line: prepared set, steps, pairs drawn, where to write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    parser.add_argument("--steps", type=int, help="instead of image_dm.pair.training.max_steps")
    parser.add_argument("--pairs", type=int, default=64, help="drawn from each model")
    parser.add_argument("--sampler-steps", type=int, default=20)
    parser.add_argument("--out", type=Path, help="folder for pair_variants.csv, .md and .png")
    arguments = parser.parse_args()
    params = read_params(arguments.params)
    with_object = section(ConditionSettings, "condition", params).object
    val = read_pairs(arguments.prepared, "val", with_object)
    if val is None:
        raise UserError(f"{arguments.prepared}: got 0 validation pairs; raise split.val")
    rows, pictures = [], []
    for variant in VARIANTS:
        row, drawn = _train_and_draw(variant, params, arguments)
        print(row, flush=True)
        rows.append(row | {"agreement": _agreement(params, arguments.prepared, drawn)})
        pictures.append((variant.name, _picture(drawn, arguments.prepared)))
    neighbours = replace(drawn, masks=np.roll(drawn.masks, 1, axis=0))
    for name, pairs in (("neighbours' masks", neighbours), ("real, validation", val)):
        agreement = _agreement(params, arguments.prepared, pairs)
        rows.append({"architecture": name, "agreement": agreement})
    table = pd.DataFrame(rows).astype(dict.fromkeys(COUNTS, "Int64"))
    text = as_markdown(table.astype(object).where(table.notna(), ""))
    print(text)
    if arguments.out is not None:
        write_text(arguments.out / "pair_variants.csv", table.to_csv(index=False))
        write_text(arguments.out / "pair_variants.md", text + "\n")
        _write_small(arguments.out / "pair_variants.png", tile(pictures))


def _train_and_draw(
    variant: Variant, params: dict[str, Any], arguments: argparse.Namespace
) -> tuple[dict[str, Any], Pairs]:
    """The row of the table without agreement, and the pairs."""
    seed, condition = value("seed", params), section(ConditionSettings, "condition", params)
    settings = _settings(variant, value("image_dm.pair", params), arguments.steps)
    with tempfile.TemporaryDirectory() as folder:
        out, began = Path(folder) / "model", time.monotonic()
        kind = PairKind(settings, out)
        train_image_model("pair-variants", arguments.prepared, out, kind, condition, seed)
        seconds = time.monotonic() - began
        curve = pd.read_csv(out / "curve.csv")
        painter, card = load_image_model(out, "last", out)
        sampler = SamplerSettings(steps=arguments.sampler_steps)
        draw, drawn = with_masks(painter, card, sampler, seed), []
        for first in range(0, arguments.pairs, 16):
            drawn += draw(range(first, min(first + 16, arguments.pairs)))
    pairs = Pairs(
        [pair.mask_id for pair in drawn],
        np.stack([pair.image for pair in drawn]),
        np.stack([pair.mask for pair in drawn]),
        np.stack([pair.object for pair in drawn]) if condition.object else None,
    )
    train = read_pairs(arguments.prepared, "train", condition.object)
    row = {
        "architecture": variant.architecture,
        "skips": "" if variant.architecture == "concat" else variant.skips,
        "discriminator": variant.discriminator,
        "parameters": sum(p.numel() for p in painter.network.parameters()),
        "steps": int(curve["step"].iloc[-1]),
        "seconds": round(seconds),
        "val_loss": float(curve["val_loss"].dropna().iloc[-1]),
        "colours": colour_divergence(*(colour_histograms(p.images) for p in (train, pairs))),
    }
    return row, pairs


def _settings(variant: Variant, content: dict[str, Any], steps: int | None) -> PairSettings:
    """Those of params.yaml with what the variant changes; nothing is measured on the way."""
    network = {"architecture": variant.architecture, "skips": variant.skips}
    training = {"monitor": "train_loss", "candidates": [], "preview": {"every_steps": None}}
    training["colour_divergence"] = {"every_steps": None}
    if steps is not None:
        training |= {"max_steps": steps, "evaluate_every_steps": steps}
    changed = dict(content) | {
        "network": content["network"] | network,
        "training": content["training"] | training,
        "discriminator": content["discriminator"] | {"enabled": variant.discriminator},
    }
    return parse(PairSettings, "image_dm.pair", changed)


def _agreement(params: dict[str, Any], prepared: Path, pairs: Pairs) -> float:
    """Mean defect IoU of the judge over the pairs that show something."""
    judges = Judges(
        section(NetworkSettings, "filter.network", params),
        section(TrainingSettings, "filter.training", params),
        None,
        value("seed", params),
    )
    return float(judges.score(prepared, pairs, pairs.ids).synthetic["defect_iou"].mean())


def _picture(pairs: Pairs, prepared: Path) -> np.ndarray:
    """Photo and mask of the first pairs in turn, uint8 2N×H×W×3."""
    colours = [item.colour for item in read_classes(prepared)]
    part = slice(0, SHOWN_PAIRS)
    objects = [None] * SHOWN_PAIRS if pairs.objects is None else list(pairs.objects[part])
    masks = painted_masks(pairs.masks[part], objects, colours)
    both = np.stack([pairs.images[part], masks], axis=1)  # N×2×H×W×3
    return both.reshape(-1, *both.shape[2:])


def _write_small(path: Path, picture: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).quantize(PALETTE_COLOURS).save(buffer, "PNG", optimize=True)
    write_bytes(path, buffer.getvalue())


if __name__ == "__main__":
    run(main)
