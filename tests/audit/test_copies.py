"""What `evaluate-samples` writes on copies."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.audit.copies import PICTURE, SUMMARY, TABLE, write_copies
from pipeline.io.images import read_image, write_image, write_mask
from pipeline.io.manifests import write_manifest
from pipeline.models.photo_features import PhotoFeatures, photo_features
from pipeline.training.grids import GAP, LABEL_WIDTH
from tests.audit.scenes import again, scenes


def write_set(folder, photos, names, **columns):
    rows = [{"id": name, "image": f"images/{name}.png"} for name in names]
    mask = np.zeros(photos[0].shape[:2], np.uint8)
    mask[20:44, 20:44] = 1
    for photo, row in zip(photos, rows, strict=True):
        write_image(folder / row["image"], photo)
        row["mask"] = f"masks/{row['id']}.png"
        write_mask(folder / row["mask"], mask, [(0, 0, 0), (255, 0, 0)])
    frame = pd.DataFrame(rows).assign(object=None, classes=[[]] * len(rows), **columns)
    write_manifest(folder, frame.assign(image_sha256="", mask_sha256=""))


@pytest.fixture(scope="module")
def network():
    return PhotoFeatures()


def write(folder, network, train, val, drawn):
    sides = {"train": train, "val": val, "synthetic": drawn}
    features = {name: photo_features(network, photos) for name, photos in sides.items()}
    return write_copies(folder / "out", folder / "real", folder / "drawn", 2, features, seed=0)


def test_a_copy_is_named_first_with_what_it_copies(tmp_path, network):
    photos = scenes(31)
    splits = ["train"] * 14 + ["val"] * 14
    write_set(tmp_path / "real", photos[:28], [f"r{n:02d}" for n in range(28)], split=splits)
    drawn = np.concatenate([photos[28:], again(photos[5])[None]])
    masks = ["m0", "m1", "m2", "m3"]
    write_set(tmp_path / "drawn", drawn, ["s0", "s1", "s2", "s3"], mask_id=masks)
    told = write(tmp_path, network, photos[:14], photos[14:28], drawn)
    assert told.startswith("memorisation: 1 of 4 photos are copies of training photos")
    first = pd.read_csv(tmp_path / "out" / TABLE).iloc[0]
    assert (first["id"], first["pixel_nearest"], bool(first["copy"])) == ("s3", "r05", True)
    summary = json.loads((tmp_path / "out" / SUMMARY).read_text())
    assert summary["measured"] and summary["copies"] == 1 and summary["held_out"] == 14
    picture = read_image(tmp_path / "out" / PICTURE)
    tile = 128 + GAP  # 64 px enlarged by 2
    assert picture.shape[:2] == (3 * tile, LABEL_WIDTH + 2 * tile)


def test_what_was_drawn_for_a_photos_mask_is_held_against_the_others(tmp_path, network):
    """Else the outlines that it was told would make a copy of it."""
    photos = scenes(31)
    splits = ["train"] * 14 + ["val"] * 14
    write_set(tmp_path / "real", photos[:28], [f"r{n:02d}" for n in range(28)], split=splits)
    drawn = np.stack([again(photos[5]), again(photos[6])])
    write_set(tmp_path / "drawn", drawn, ["s0", "s1"], mask_id=["r05", "r05"])
    told = write(tmp_path, network, photos[:14], photos[14:28], drawn)
    assert told.startswith("memorisation: 1 of 2 photos are copies")
    table = pd.read_csv(tmp_path / "out" / TABLE).set_index("id")
    assert table.loc["s1", "pixel_nearest"] == "r06" and table.loc["s1", "copy"]
    assert table.loc["s0", "pixel_nearest"] != "r05" and not table.loc["s0", "copy"]


def test_a_photo_painted_back_into_its_own_mask_is_found(tmp_path, network):
    """Under another light and grain; another photo in that mask is not."""
    photos = scenes(31)
    splits = ["train"] * 14 + ["val"] * 14
    write_set(tmp_path / "real", photos[:28], [f"r{n:02d}" for n in range(28)], split=splits)
    noise = np.random.default_rng(0).normal(0, 5, photos[5].shape)
    again = (0.8 * photos[5] + noise).clip(0, 255).astype(np.uint8)
    drawn = np.stack([photos[28], again, photos[29]])
    write_set(tmp_path / "drawn", drawn, ["s0", "s1", "s2"], mask_id=["r05", "r05", "made up"])
    told = write(tmp_path, network, photos[:14], photos[14:28], drawn)
    assert told.endswith("of which 1 are the very photo that their mask is from; see nearest.png")
    table = pd.read_csv(tmp_path / "out" / TABLE).set_index("id")
    assert table["repainted"].to_dict() == {"s0": False, "s1": True, "s2": False}
    assert table.loc["s1", "suspicious"] and table.loc["s1", "texture_likeness"] > 0.8
    assert np.isnan(table.loc["s2", "texture_likeness"])
    assert json.loads((tmp_path / "out" / SUMMARY).read_text())["repainted"] == 1


def test_leaked_validation_photos_hide_no_repainting(tmp_path, network):
    photos = scenes(31)
    held_out = np.concatenate([photos[14:28], photos[3:4]])
    real = np.concatenate([photos[:14], held_out])
    splits = ["train"] * 14 + ["val"] * 15
    write_set(tmp_path / "real", real, [f"r{n:02d}" for n in range(29)], split=splits)
    noise = np.random.default_rng(0).normal(0, 5, photos[5].shape)
    again = (0.8 * photos[5] + noise).clip(0, 255).astype(np.uint8)
    write_set(tmp_path / "drawn", again[None], ["s0"], mask_id=["r05"])
    told = write(tmp_path, network, photos[:14], held_out, again[None])
    assert "of which 1 are the very photo that their mask is from" in told
    assert told.endswith("; 1 validation photos are copies of training photos and not counted")


def test_too_few_unrelated_photos_leave_a_reason(tmp_path, network):
    photos = scenes(26)
    held_out = np.concatenate([photos[14:25], photos[:3]])
    real = np.concatenate([photos[:14], held_out])
    splits = ["train"] * 14 + ["val"] * 14
    write_set(tmp_path / "real", real, [f"r{n:02d}" for n in range(28)], split=splits)
    write_set(tmp_path / "drawn", photos[25:], ["s0"], mask_id=["r00"])
    told = write(tmp_path, network, photos[:14], held_out, photos[25:])
    assert told.startswith("memorisation: none; got 3 of 14 held-out photos that are copies")
    assert [path.name for path in Path(tmp_path / "out").iterdir()] == [SUMMARY]


def test_too_few_photos_leave_a_reason(tmp_path, network):
    splits = ["train"] * 14 + ["val"] * 3
    photos, drawn = scenes(17), scenes(2, seed=1)
    write_set(tmp_path / "real", photos, [f"r{n:02d}" for n in range(17)], split=splits)
    write_set(tmp_path / "drawn", drawn, ["s0", "s1"], mask_id=["r00", "r00"])
    told = write(tmp_path, network, photos[:14], photos[14:], drawn)
    assert told == "memorisation: none; 3 training or validation photos, needs 12 of each"
    assert [path.name for path in Path(tmp_path / "out").iterdir()] == [SUMMARY]
