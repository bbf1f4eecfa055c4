"""A mix's pairs, read from files and compared with their content hashes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data.mixes import load_mix_pairs
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of, write_image, write_mask
from tests.data.manifests import manifest

PREPARED, SYNTHETIC = Path("data/prepared"), Path("data/synthetic")


@pytest.fixture
def on_disk(tmp_path, monkeypatch) -> pd.DataFrame:
    """A mix of two real pairs and a synthetic one, with files; the working folder is theirs."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frames = []
    for folder, ids in ((PREPARED, ["b", "a"]), (SYNTHETIC, ["s"])):
        frame = manifest(ids)
        for place, row in frame.iterrows():
            image = rng.integers(0, 255, size=(4, 5, 3)).astype(np.uint8)
            write_image(folder / row["image"], image)
            write_mask(folder / row["mask"], image[..., 0] % 2, [(0, 0, 0), (255, 0, 0)])
            for name in ("image", "mask"):
                frame.loc[place, f"{name}_sha256"] = sha256_of(folder / row[name])
        frames.append(frame.assign(folder=folder.as_posix(), group=None))
    return pd.concat(frames, ignore_index=True)


def test_pairs_come_in_the_order_of_the_rows(on_disk):
    pairs = load_mix_pairs(on_disk, total_classes=2)
    assert pairs.ids == ["b", "a", "s"]
    assert pairs.images.shape == (3, 4, 5, 3)
    assert np.array_equal(pairs.masks, pairs.images[..., 0] % 2)


def test_a_pair_may_come_twice(on_disk):
    again = pd.concat([on_disk.iloc[:2], on_disk.iloc[[1]], on_disk.iloc[2:]])
    pairs = load_mix_pairs(again, total_classes=2)
    assert pairs.ids == ["b", "a", "a", "s"]
    assert np.array_equal(pairs.images[1], pairs.images[2])


def test_changed_file_is_named(on_disk):
    path = SYNTHETIC / "images/s.png"
    write_image(path, np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(UserError, match=str(path)):
        load_mix_pairs(on_disk, total_classes=2)


def test_surplus_class_is_named(on_disk):
    with pytest.raises(UserError, match=r"masks/.*class index 1, expected 0 to 0"):
        load_mix_pairs(on_disk, total_classes=1)


def test_sizes_must_agree(on_disk):
    row = on_disk.index[on_disk["id"] == "s"][0]
    write_image(SYNTHETIC / "images/s.png", np.zeros((6, 6, 3), np.uint8))
    write_mask(SYNTHETIC / "masks/s.png", np.zeros((6, 6), np.uint8), [(0, 0, 0)])
    for name in ("image", "mask"):
        on_disk.loc[row, f"{name}_sha256"] = sha256_of(SYNTHETIC / on_disk.loc[row, name])
    with pytest.raises(UserError, match="different sizes"):
        load_mix_pairs(on_disk, total_classes=2)
