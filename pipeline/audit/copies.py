"""What `evaluate-samples` writes on copies: every synthetic photo's nearest training photos."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.audit.chance import FEWEST_PHOTOS
from pipeline.audit.memorisation import Features, flip_features, memorisation
from pipeline.audit.texture import own_likeness, usual_likeness
from pipeline.data.pairs import Pairs, load_pairs
from pipeline.io.atomic import write_json, write_text
from pipeline.io.errors import UserError
from pipeline.io.images import write_image
from pipeline.io.manifests import read_manifest, read_split
from pipeline.io.seeding import numpy_rng
from pipeline.models.photo_features import PhotoFeatures
from pipeline.training.grids import tile

TABLE, SUMMARY, PICTURE = "memorisation.csv", "memorisation.json", "nearest.png"
SPACES = ("pixel", "feature")


def write_copies(
    folder: Path,
    prepared: Path,
    synthetic: Path,
    pictured: int,
    features: dict[str, np.ndarray],
    seed: int,
) -> str:
    """Compare all synthetic photos with the training photos, and say what came out.

    Writes into `folder` a table with a row for each synthetic photo, the most suspicious first, a
    summary, and a picture of the first ones above their nearest training photos. With too few real
    photos to tell what is usual there is a summary with the reason alone.

    Args:
        folder: of the stage.
        prepared: the prepared set: its training photos, and validation photos as held-out ones.
        synthetic: the synthetic set.
        pictured: photos in the picture.
        features: N×1280 of all `train`, `val` and `synthetic` photos.
        seed: the project's.

    Raises:
        UserError: a file is missing or is no image.
    """
    parts = [read_split(prepared, name) for name in ("train", "val")]
    fewest = min(len(frame) for frame in parts)
    if fewest < FEWEST_PHOTOS:
        reason = f"{fewest} training or validation photos, needs {FEWEST_PHOTOS} of each"
        return _write_reason(folder, reason)
    drawn = read_manifest(synthetic)
    train, held_out = (load_pairs(prepared, frame) for frame in parts)
    pairs = load_pairs(synthetic, drawn)
    network = PhotoFeatures().to("cuda" if torch.cuda.is_available() else "cpu")
    flipped = flip_features(network, train.images, features["train"])
    known = Features(flipped, features["val"], features["synthetic"])
    ids = parts[0]["id"].to_numpy()
    drawn_for = pd.Index(ids).get_indexer(drawn["mask_id"])  # −1 for a mask of its own
    try:
        sides = train.images, held_out.images, pairs.images
        found = memorisation(*sides, known, drawn_for=drawn_for)
    except UserError as error:
        return _write_reason(folder, str(error).removeprefix("memorisation: "))
    unseen = held_out.at(np.flatnonzero(~found.leaked))
    told = _with_texture(found.table, pairs, train, unseen, drawn_for, seed)
    order = np.lexsort([-told["pixel_score"], ~told["suspicious"], ~told["copy"]])
    names = {f"{space}_nearest": ids[told[f"{space}_nearest"]] for space in SPACES}
    table = pd.concat([drawn["id"], told.assign(**names)], axis=1).iloc[order]
    write_text(folder / TABLE, table.to_csv(index=False, float_format="%.4g"))
    totals = {name: int(told[name].sum()) for name in ("suspicious", "repainted")}
    figures = found.summary | totals
    write_json(folder / SUMMARY, {"measured": True, **figures})
    first = order[:pictured]
    rows = [("synthetic", pairs.images[first])]
    for space in SPACES:
        nearest = told[f"{space}_nearest"].to_numpy()[first]
        rows.append((f"nearest by\n{space}s", train.images[nearest]))
    write_image(folder / PICTURE, tile(rows))
    leaked = (
        f"; {figures['leaked']} validation photos are copies of training photos and not counted"
        if figures["leaked"]
        else ""
    )
    return (
        f"memorisation: {figures['copies']} of {figures['synthetic']} photos are copies of "
        f"training photos, {figures['suspicious']} suspiciously near (false alarms: "
        f"{figures['false_alarm_rate']:.0%}), of which {figures['repainted']} are the very photo "
        f"that their mask is from; see {PICTURE}{leaked}"
    )


def _write_reason(folder: Path, reason: str) -> str:
    """In place of all figures."""
    write_json(folder / SUMMARY, {"measured": False, "reason": reason})
    return f"memorisation: none; {reason}"


def _with_texture(
    table: pd.DataFrame,
    drawn: Pairs,
    train: Pairs,
    held_out: Pairs,
    drawn_for: np.ndarray,
    seed: int,
) -> pd.DataFrame:
    """With `texture_likeness` to the photo of the mask, and whether that photo was `repainted`."""
    own, highest = own_likeness(drawn, train, drawn_for), np.nan
    if (drawn_for >= 0).any():
        rng = numpy_rng(seed, "texture of held-out photos")
        highest = np.fmax.reduce(usual_likeness(held_out, train, rng))
    repainted = own > highest
    suspicious = table["suspicious"] | repainted
    return table.assign(texture_likeness=own, repainted=repainted, suspicious=suspicious)
