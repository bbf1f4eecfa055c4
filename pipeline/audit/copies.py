"""What `evaluate-samples` writes on copies: every synthetic photo's nearest training photos."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.audit.chance import FEWEST_PHOTOS
from pipeline.audit.findings import read_photos
from pipeline.audit.memorisation import Features, flip_features, memorisation
from pipeline.io.atomic import write_json, write_text
from pipeline.io.images import write_image
from pipeline.io.manifests import read_manifest, read_split
from pipeline.models.photo_features import PhotoFeatures
from pipeline.training.grids import tile

TABLE, SUMMARY, PICTURE = "memorisation.csv", "memorisation.json", "nearest.png"
SPACES = ("pixel", "feature")


def write_copies(
    folder: Path, prepared: Path, synthetic: Path, pictured: int, features: dict[str, np.ndarray]
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

    Raises:
        UserError: a file is missing or is no image.
    """
    parts = [read_split(prepared, name) for name in ("train", "val")]
    fewest = min(len(frame) for frame in parts)
    if fewest < FEWEST_PHOTOS:
        reason = f"{fewest} training or validation photos, needs {FEWEST_PHOTOS} of each"
        write_json(folder / SUMMARY, {"measured": False, "reason": reason})
        return f"memorisation: none; {reason}"
    drawn = read_manifest(synthetic)
    train, held_out = (read_photos(prepared, frame) for frame in parts)
    photos = read_photos(synthetic, drawn)
    network = PhotoFeatures().to("cuda" if torch.cuda.is_available() else "cpu")
    flipped = flip_features(network, train, features["train"])
    known = Features(flipped, features["val"], features["synthetic"])
    ids = parts[0]["id"].to_numpy()
    drawn_for = pd.Index(ids).get_indexer(drawn["mask_id"])  # −1 for a mask of its own
    found = memorisation(train, held_out, photos, known, drawn_for=drawn_for)
    order = np.lexsort(
        [-found.table["pixel_score"], ~found.table["suspicious"], ~found.table["copy"]]
    )
    names = {f"{space}_nearest": ids[found.table[f"{space}_nearest"]] for space in SPACES}
    table = pd.concat([drawn["id"], found.table.assign(**names)], axis=1).iloc[order]
    write_text(folder / TABLE, table.to_csv(index=False, float_format="%.4g"))
    write_json(folder / SUMMARY, {"measured": True, **found.summary})
    first = order[:pictured]
    rows = [("synthetic", photos[first])]
    for space in SPACES:
        nearest = found.table[f"{space}_nearest"].to_numpy()[first]
        rows.append((f"nearest by\n{space}s", train[nearest]))
    write_image(folder / PICTURE, tile(rows))
    figures = found.summary
    return (
        f"memorisation: {figures['copies']} of {figures['synthetic']} photos are copies of "
        f"training photos, {figures['suspicious']} suspiciously near (false alarms: "
        f"{figures['false_alarm_rate']:.0%}); see {PICTURE}"
    )
