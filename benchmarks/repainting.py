"""`python -m benchmarks.repainting`: is a training photo found that was painted into its own mask?

Training photos of the prepared set are planted, changed in ways that a model might, each
in its own mask. What `evaluate-samples` calls repainted is a fine texture liker to the photo of the
mask than that of any held-out photo is to a training photo. Real samples may be looked at as well.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from benchmarks.mask_codecs import as_markdown
from pipeline.audit.leakage import find_leakage
from pipeline.audit.settings import AuditSettings
from pipeline.audit.texture import own_likeness, usual_likeness
from pipeline.data.pairs import load_pairs
from pipeline.io.atomic import write_text
from pipeline.io.errors import run
from pipeline.io.manifests import read_manifest, read_split
from pipeline.io.seeding import numpy_rng

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def main() -> None:
    """Command line: the sets, how many photos are planted, where to write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--synthetic", type=Path, help="a synthetic set to look at as well")
    parser.add_argument("--planted", type=int, default=20, help="training photos")
    parser.add_argument("--out", type=Path, help="Markdown file for the table")
    arguments = parser.parse_args()
    frames = {name: read_split(arguments.prepared, name) for name in ("train", "val")}
    train, held_out = (load_pairs(arguments.prepared, frame) for frame in frames.values())
    held_out = held_out.at(_unrelated(train.images, held_out.images, frames))
    usual = usual_likeness(held_out, train, numpy_rng(0, "texture of held-out photos"))
    rows = [_row("none, held-out photos", usual, np.nan)]
    chosen = numpy_rng(0, "planted").choice(
        len(train), min(arguments.planted, len(train)), replace=False
    )
    for kind, change in CHANGES.items():
        rng = numpy_rng(0, f"planted {kind}")
        copies = np.stack([change(train.images[index], rng) for index in chosen])
        planted = replace(train.at(chosen), images=copies)
        rows.append(_row(kind, own_likeness(planted, train, chosen), np.nanmax(usual)))
    if arguments.synthetic is not None:
        drawn = read_manifest(arguments.synthetic)
        own = pd.Index(frames["train"]["id"]).get_indexer(drawn["mask_id"])
        found = own_likeness(load_pairs(arguments.synthetic, drawn), train, own)
        rows.append(_row("none, synthetic photos", found, np.nanmax(usual)))
    text = as_markdown(pd.DataFrame(rows))
    print(text)
    if arguments.out is not None:
        write_text(arguments.out, text + "\n")


def _unrelated(
    train: np.ndarray, held_out: np.ndarray, frames: dict[str, pd.DataFrame]
) -> np.ndarray:
    """Places of the held-out photos that are no copies of training photos."""
    photos, frame = np.concatenate([train, held_out]), pd.concat(frames.values())
    pairs = find_leakage(photos, frame, AuditSettings().false_pairs).pairs
    across = pairs[pairs["across_splits"]]
    leaked = frames["val"]["id"].isin({*across["first"], *across["second"]})
    print(f"{leaked.sum()} of {len(leaked)} held-out photos are copies of training photos\n")
    return np.flatnonzero(~leaked)


def _row(title: str, found: np.ndarray, highest: float) -> dict:
    """Of photos with likenesses `found`, NaN where too little texture was to be compared."""
    known = found[~np.isnan(found)]
    called = "–" if np.isnan(highest) else int((known > highest).sum())
    quantiles = dict(
        zip(("lowest", "median", "highest"), np.quantile(known, (0, 0.5, 1)), strict=True)
    )
    return {"planted": title, "photos": len(known), "called repainted": called, **quantiles}


def _colours(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other gains of the three colours, in another order, and another exposure."""
    values = (photo / 255.0) ** rng.uniform(0.6, 1.6)
    return _photo(255 * values[..., rng.permutation(3)] * rng.uniform(0.6, 1.1, 3))


def _blur(sigma_px: float) -> Change:
    return lambda photo, _: _photo(
        ndimage.gaussian_filter(photo.astype(float), (sigma_px, sigma_px, 0))
    )


def _noise(grey_levels: float) -> Change:
    return lambda photo, rng: _photo(photo + rng.normal(0, grey_levels, photo.shape))


def _halve(photo: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Half the size and back, as a model does that draws small."""
    height, width = photo.shape[:2]
    small = photo.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
    return _photo(ndimage.zoom(small, (2, 2, 1), order=1, grid_mode=True, mode="nearest"))


def _photo(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)


CHANGES: dict[str, Change] = {
    "recoloured": _colours,
    "shifted by a pixel": lambda photo, _: np.roll(photo, (1, 1), axis=(0, 1)),
    "noise of 5 grey levels": _noise(5),
    "noise of 10 grey levels": _noise(10),
    "noise of 20 grey levels": _noise(20),
    "blurred by a pixel": _blur(1),
    "blurred by two pixels": _blur(2),
    "halved and enlarged": _halve,
    "flipped": lambda photo, _: photo[:, ::-1].copy(),
}


if __name__ == "__main__":
    run(main)
