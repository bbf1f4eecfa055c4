"""The two layouts of a synthetic set hold the same pairs; shards are made once."""

import io
import json
import tarfile
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.data.pairs import load_pairs
from pipeline.data.sample_store import SyntheticPair, store_pair
from pipeline.data.set_layouts import FILES, Shards
from pipeline.data.synthetic_set import write_synthetic_set
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.manifests import ClassInfo, read_manifest
from pipeline.reporting import gallery
from pipeline.reporting.masks import read_masks

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "defect", (255, 0, 0))]


def fill(store, indices, has_object=True) -> list[SyntheticPair]:
    pairs = []
    for index in indices:
        rejected, fault = (("empty",), "object_size") if index % 3 else ((), None)
        pair = SyntheticPair(index, 100 + index, f"m{index}", has_object, rejected, fault)
        image = np.random.default_rng(index).integers(0, 256, (8, 6, 3), dtype=np.uint8)
        mask = np.zeros((8, 6), dtype=np.uint8)
        mask[: index % 7] = 1
        silhouette = mask == 0 if has_object else None
        store_pair(store, pair, image, mask, silhouette, CLASSES)
        pairs.append(pair)
    return pairs


def write(folder, store, pairs, layout) -> pd.DataFrame:
    folder.mkdir()
    write_synthetic_set(folder, store, pairs, CLASSES, {"guidance": 0.5}, layout)
    return read_manifest(folder)


@pytest.fixture
def both(tmp_path):
    """Folders and manifests of seven pairs as files and in shards of three."""
    store = tmp_path / "store"
    pairs = fill(store, range(7))
    folders = tmp_path / "files", tmp_path / "shards"
    return [
        (folder, write(folder, store, pairs, layout))
        for folder, layout in zip(folders, (FILES, Shards(3)), strict=True)
    ]


def test_both_hold_the_same_pairs(both):
    (_, files), (_, shards) = both
    assert shards["image"].tolist()[2:4] == [
        "shards/synthetic-000000.tar/synthetic_000002.image.png",
        "shards/synthetic-000001.tar/synthetic_000003.image.png",
    ]
    paths = ["image", "mask", "object"]
    pd.testing.assert_frame_equal(files.drop(columns=paths), shards.drop(columns=paths))
    assert list(files) == list(shards)
    # the order of rows is free, as in a mix
    one, other = (load_pairs(folder, frame.iloc[::-1], verify=True) for folder, frame in both)
    assert one.ids == other.ids
    for name in ("images", "masks", "objects"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_shards_are_few_files(both):
    _, (folder, _) = both
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "classes.json", "coco.json", "grid.png", "manifest.parquet",
        "synthetic-000000.tar", "synthetic-000001.tar", "synthetic-000002.tar",
    ]  # fmt: skip


def test_the_report_draws_the_same_pictures_of_both(both):
    pictures, masks = [], []
    for folder, frame in both:
        row = frame.iloc[5]
        pictures.append([*gallery.draw_pair(folder, row, CLASSES)])
        pictures[-1].append(gallery.draw_mask(folder, row, CLASSES))
        masks.append(np.array([np.stack(each) for each in read_masks(folder, frame)]))
    for one, other in zip(*pictures, strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(*masks)
    assert sha256_of(both[0][0] / "grid.png") == sha256_of(both[1][0] / "grid.png")


def test_coco_names_files_as_they_are_once_unpacked(both, tmp_path):
    (_, files), (folder, _) = both
    unpacked = tmp_path / "unpacked"
    for shard in sorted((folder / "shards").iterdir()):
        with tarfile.open(shard) as archive:
            archive.extractall(unpacked, filter="data")
    coco = json.loads((folder / "coco.json").read_text())
    hashes = [sha256_of(unpacked / image["file_name"]) for image in coco["images"]]
    assert hashes == files["image_sha256"].tolist()


def test_samples_are_grouped_as_webdataset_wants(both):
    """The files of a sample follow each other; all samples have the same keys and types."""
    _, (folder, frame) = both
    samples, order = defaultdict(dict), []
    for shard in sorted((folder / "shards").iterdir()):
        with tarfile.open(shard) as archive:
            for item in archive:
                key, _, field = item.name.partition(".")
                order += [key] if key not in order[-1:] else []
                samples[key][field] = archive.extractfile(item).read()
    assert order == frame["id"].tolist()
    assert {tuple(sample) for sample in samples.values()} == {
        ("image.png", "mask.png", "object.png", "json")
    }
    facts = [json.loads(sample["json"]) for sample in samples.values()]
    assert len({tuple((name, type(fact)) for name, fact in each.items()) for each in facts}) == 1
    assert facts[4] == {
        "id": "synthetic_000004",
        "index": 4,
        "seed": 104,
        "mask_id": "m4",
        "mask_rejected": "empty",
        "mask_fault": "object_size",
        "guidance": 0.5,
        "classes": "defect",
    }
    mask = Image.open(io.BytesIO(samples["synthetic_000004"]["mask.png"]))
    assert np.array(mask).sum() == 4 * 6


def shards_of(folder) -> dict[str, tuple[str, int]]:
    """Hash and inode of each: the same inode was not written again."""
    paths = sorted((folder / "shards").iterdir())
    return {path.name: (sha256_of(path), path.stat().st_ino) for path in paths}


def test_a_larger_set_writes_new_shards_and_the_last_one(tmp_path):
    store = tmp_path / "store"
    first, second, third = (tmp_path / name for name in ("7", "11", "7 again"))
    write(first, store, fill(store, range(7)), Shards(3))
    write(second, store, fill(store, range(11)), Shards(3))
    before, after = shards_of(first), shards_of(second)
    names = [f"synthetic-{number:06d}.tar" for number in range(4)]
    assert (list(before), list(after)) == (names[:3], names)
    assert all(before[name] == after[name] for name in names[:2])
    assert before[names[2]] != after[names[2]]
    assert len(load_pairs(first, read_manifest(first), verify=True)) == 7  # nothing in place
    write(third, store, fill(store, range(7)), Shards(3))
    assert {name: each[0] for name, each in shards_of(third).items()} == {
        name: each[0] for name, each in before.items()
    }
    packed = {path.stem for path in (store / "shards").iterdir()}
    assert packed == {name.removesuffix(".tar") for name in names[:3]}


def test_a_later_set_numbers_its_shards_by_the_pairs(tmp_path):
    store = tmp_path / "store"
    frame = write(tmp_path / "set", store, fill(store, range(4, 8)), Shards(3))
    assert list(shards_of(tmp_path / "set")) == ["synthetic-000001.tar", "synthetic-000002.tar"]
    assert len(load_pairs(tmp_path / "set", frame, verify=True)) == 4


@pytest.mark.parametrize("size", [0, 700, None])
def test_a_torn_shard_of_the_store_is_packed_again(tmp_path, size):
    store, path = tmp_path / "store", tmp_path / "store/shards/synthetic-000000.tar"
    pairs = fill(store, range(3))
    write(tmp_path / "one", store, pairs, Shards(3))
    whole = path.read_bytes()
    path.unlink()
    if size is not None:
        path.write_bytes(whole[:size])
    write(tmp_path / "two", store, pairs, Shards(3))
    assert shards_of(tmp_path / "one").keys() == shards_of(tmp_path / "two").keys()
    assert (tmp_path / "two/shards/synthetic-000000.tar").read_bytes() == whole


def test_a_pair_that_was_drawn_otherwise_is_packed_again(tmp_path):
    store = tmp_path / "store"
    pairs = fill(store, range(3))
    write(tmp_path / "one", store, pairs, Shards(3))
    other = np.zeros((8, 6, 3), dtype=np.uint8)
    store_pair(store, pairs[1], other, other[..., 0], other[..., 0] == 0, CLASSES)
    frame = write(tmp_path / "two", store, pairs, Shards(3))
    assert not load_pairs(tmp_path / "two", frame, verify=True).images[1].any()


def test_faults_within_shards_are_listed(both):
    _, (folder, frame) = both
    path = folder / "shards/synthetic-000001.tar"
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT")  # of the first photo of the shard
    content[place + 6] ^= 255
    path.unlink()
    path.write_bytes(bytes(content))
    (folder / "shards/synthetic-000002.tar").unlink()
    with pytest.raises(UserError) as caught:
        load_pairs(folder, frame, verify=True)
    message = str(caught.value)
    assert message.startswith("2 files cannot be used")
    assert "synthetic-000001.tar/synthetic_000003.image.png: SHA-256" in message
    assert "synthetic-000002.tar: not found" in message


def test_sets_without_silhouettes(tmp_path):
    store = tmp_path / "store"
    frame = write(tmp_path / "set", store, fill(store, range(4), has_object=False), Shards(3))
    assert frame["object"].isna().all()
    assert load_pairs(tmp_path / "set", frame, verify=True).objects is None
