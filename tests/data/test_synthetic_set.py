import numpy as np
import pandas as pd
import pytest

from pipeline.data.pairs import load_pairs
from pipeline.data.sample_store import SyntheticPair, is_finished, store_pair
from pipeline.data.synthetic_set import overview, write_synthetic_set
from pipeline.io.manifests import ClassInfo, read_classes, read_manifest

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "defect", (255, 0, 0))]


def fill(store, total, has_object=True):
    rng = np.random.default_rng(1)
    pairs = []
    for index in range(total):
        pair = SyntheticPair(index, seed=100 + index, mask_id=f"m{index}", has_object=has_object)
        image = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
        mask = np.zeros((8, 6), dtype=np.uint8)
        mask[:index] = 1
        silhouette = np.ones((8, 6), dtype=bool) if has_object else None
        store_pair(store, pair, image, mask, silhouette, CLASSES)
        pairs.append(pair)
    return pairs


@pytest.mark.parametrize("has_object", [True, False])
def test_the_set_is_what_was_stored(tmp_path, has_object):
    store, folder = tmp_path / "store", tmp_path / "set"
    folder.mkdir()
    pairs = fill(store, 3, has_object)
    drawn_by = {"guidance": 0.5, "sampler": "ddim", "steps": 10}
    write_synthetic_set(folder, store, pairs, CLASSES, drawn_by)
    frame = read_manifest(folder)
    assert list(frame.columns) == [
        "id", "image", "mask", "object", "index", "seed", "mask_id",
        "mask_rejected", "mask_fault", "guidance", "sampler", "steps", "classes",
        "image_sha256", "mask_sha256",
    ]  # fmt: skip
    assert frame["id"].tolist() == ["synthetic_000000", "synthetic_000001", "synthetic_000002"]
    assert [list(names) for names in frame["classes"]] == [[], ["defect"], ["defect"]]
    assert frame["seed"].tolist() == [100, 101, 102]
    assert read_classes(folder) == CLASSES
    loaded = load_pairs(folder, frame, verify=True)
    assert loaded.masks[2].sum() == 12
    assert (loaded.objects is not None) == has_object
    for name in ("coco.json", "metadata.jsonl", "grid.png"):
        assert (folder / name).is_file()


FILES = [f"{kind}/synthetic_000000.png" for kind in ("images", "masks", "objects")]


@pytest.mark.parametrize("name", [*FILES, "facts/synthetic_000000.json"])
def test_a_pair_is_finished_while_each_of_its_files_is_whole(tmp_path, capsys, name):
    fill(tmp_path, 1)
    assert is_finished(tmp_path, 0)
    assert not is_finished(tmp_path, 1)
    assert capsys.readouterr().out == ""  # not drawn yet is no damage
    path = tmp_path / name
    whole = path.read_bytes()
    for size in (0, 1, len(whole) - 2):
        path.write_bytes(whole[:size])
        assert not is_finished(tmp_path, 0)
    assert "synthetic_000000 is damaged; it is drawn again" in capsys.readouterr().out
    path.unlink()
    assert not is_finished(tmp_path, 0)
    fill(tmp_path, 1)
    assert is_finished(tmp_path, 0)


def test_a_pair_with_altered_facts_is_not_finished(tmp_path):
    fill(tmp_path, 1)
    path = tmp_path / "facts/synthetic_000000.json"
    path.write_text(path.read_text().replace('"seed": 100', '"seed": 101'))
    assert not is_finished(tmp_path, 0)


def test_without_hard_links_files_are_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("cross-device link")

    monkeypatch.setattr("os.link", refuse)
    store, folder = tmp_path / "store", tmp_path / "set"
    folder.mkdir()
    write_synthetic_set(folder, store, fill(store, 1), CLASSES, {})
    name = "images/synthetic_000000.png"
    assert (folder / name).read_bytes() == (store / name).read_bytes()


def test_the_overview_shows_each_photo_above_its_mask(tmp_path):
    pairs = fill(tmp_path, 2)
    frame = pd.DataFrame([pair.files() for pair in pairs])
    picture = overview(tmp_path, frame, CLASSES)
    # 16 times as large as 6 px; the mask of pair 1 has its first row red
    assert picture.shape == (2 * 8 * 16 + 8, 2 * (96 + 2) + 2, 3)
    left, top = 2 + 96 + 2, 2 + 8 * 16
    assert picture[top + 4, left + 4].tolist() == [255, 0, 0]
    assert picture[top + 20, left + 4].tolist() == [0, 0, 0]
