import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.data.fitting import ImageSettings
from pipeline.data.prepared_set import Choice, write_prepared_set
from pipeline.data.readers import DatasetSettings, read_dataset
from pipeline.data.splits import SplitSettings
from pipeline.data.subsets import SubsetSettings
from pipeline.io.atomic import output_folder
from pipeline.io.errors import UserError
from pipeline.io.images import read_image, read_mask, read_silhouette, sha256_of
from pipeline.io.manifests import read_classes, read_manifest, read_split
from pipeline.io.params import parse

TOTAL = 20


def _box(left, top, width, height):
    right, bottom = left + width, top + height
    return [[left, top, right, top, right, bottom, left, bottom]]


@pytest.fixture
def lemons(tmp_path):
    """20 photos of 5 fruits, 32 px: a 16 px square on black with a mould of 8×4 px."""
    root = tmp_path / "lemons"
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for index in range(TOTAL):
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[8:24, 8:24] = (220, 200, 20 + index)
        pixels[10:14, 10:18] = 0
        name = f"images/{index % 5:04d}_A_{index}.png"
        Image.fromarray(pixels).save(root / name)
        images.append({"id": index, "file_name": name, "width": 32, "height": 32})
        annotations.append((index, 4, _box(10, 10, 8, 4)))
        annotations.append((index, 9, _box(8, 8, 16, 16)))
    (root / "a.json").write_text(
        json.dumps(
            {
                "images": images,
                "categories": [
                    {"id": i, "name": name} for i, name in ((4, "mould"), (5, "dot"), (9, "fruit"))
                ],
                "annotations": [
                    {"id": 1, "image_id": i, "category_id": c, "segmentation": s}
                    for i, c, s in annotations
                ],
            }
        )
    )
    return root


def _choice(root, source="threshold", subset=None, split=None):
    object_settings = {"source": source, "threshold": 16, "category": "fruit"}
    return Choice(
        parse(
            DatasetSettings,
            "dataset",
            {
                "path": str(root),
                "reader": "coco",
                "coco": {"annotations": "a.json", "images": "."},
                "object": object_settings,
            },
        ),
        "mould",
        parse(
            SubsetSettings,
            "subsets.mould",
            {
                "classes": {"defect": ["mould"]},
                "others": "ignore",
                "defect_free": "exclude",
                **(subset or {}),
            },
        ),
        ImageSettings(height=16, width=16, fit="resize"),
        parse(
            SplitSettings,
            "split",
            {
                "train": 0.6,
                "val": 0.2,
                "test": 0.2,
                "group_pattern": r"^(\d+)_",
                **(split or {}),
            },
        ),
        0,
    )


def _prepare(choice, out):
    reading = read_dataset(choice.dataset)
    with output_folder(out) as folder:
        return write_prepared_set(reading, choice, folder)


def _change(root, change):
    content = json.loads((root / "a.json").read_text())
    change(content)
    (root / "a.json").write_text(json.dumps(content))


def _add_region(root, image, category, segmentation):
    region = {"id": 9, "image_id": image, "category_id": category, "segmentation": segmentation}
    _change(root, lambda content: content["annotations"].append(region))


def test_photos_masks_and_silhouettes_are_as_drawn(lemons, tmp_path):
    _prepare(_choice(lemons), tmp_path / "out")
    frame = read_manifest(tmp_path / "out")
    assert list(frame["id"]) == sorted(f"{i % 5:04d}_A_{i}" for i in range(TOTAL))
    mask, square = np.zeros((2, 16, 16), bool)
    mask[5:7, 5:9] = True
    square[4:12, 4:12] = True
    for row in frame.itertuples():
        index = int(row.id.split("_")[2])
        photo = read_image(tmp_path / "out" / row.image)
        assert (photo[square & ~mask] == (220, 200, 20 + index)).all()
        assert (photo[~square | mask] == 0).all()
        assert (read_mask(tmp_path / "out" / row.mask) == mask).all()
        assert (read_silhouette(tmp_path / "out" / row.object) == square).all()
        assert row.source == f"images/{row.id}.png"
        assert row.group == row.id[:4]
        assert list(row.classes) == ["defect"]
        assert (row.width, row.height) == (32, 32)
        assert row.image_sha256 == sha256_of(tmp_path / "out" / row.image)
        assert row.mask_sha256 == sha256_of(tmp_path / "out" / row.mask)


def test_silhouette_from_a_category_or_none(lemons, tmp_path):
    _prepare(_choice(lemons, "category"), tmp_path / "category")
    _prepare(_choice(lemons, "none"), tmp_path / "none")
    for row in read_manifest(tmp_path / "category").itertuples():
        assert read_silhouette(tmp_path / "category" / row.object).sum() == 64
    assert read_manifest(tmp_path / "none")["object"].isna().all()
    assert not (tmp_path / "none/objects").exists()


def test_split_table_and_classes(lemons, tmp_path):
    told = _prepare(_choice(lemons), tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/split.csv").set_index("split")
    assert list(table.index) == ["train", "val", "test"]
    assert list(table["images"]) == [12, 4, 4]
    assert list(table["groups"]) == [3, 1, 1]
    assert list(table["share"]) == [0.6, 0.2, 0.2]
    assert list(table["images_defect"]) == [12, 4, 4]
    assert list(table["pixels_defect"]) == [96, 32, 32]
    assert table["pixels_background"].sum() + 160 == TOTAL * 256
    assert "split by group" in told[-1]
    assert [c.name for c in read_classes(tmp_path / "out")] == ["background", "defect"]
    groups = [set(read_split(tmp_path / "out", part)["group"]) for part in ("train", "val")]
    assert not groups[0] & groups[1]


def test_same_parameters_give_the_same_bytes(lemons, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.prepare._MIN_PHOTOS_FOR_PROCESSES", 1)
    monkeypatch.setattr("pipeline.io.processes.total_cores", lambda: 2)
    _prepare(_choice(lemons), tmp_path / "several")
    monkeypatch.setattr("pipeline.io.processes.total_cores", lambda: 1)
    _prepare(_choice(lemons), tmp_path / "one")

    def digests(folder):
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {
            str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
        }

    first = digests(tmp_path / "several")
    assert len(first) == 3 * TOTAL + 3
    assert first == digests(tmp_path / "one")


def test_regions_that_vanish_drop_the_photo_or_leave_it_without_defect(lemons, tmp_path):
    _change(lemons, lambda c: c.update(annotations=c["annotations"][2:]))
    _add_region(lemons, 0, 4, _box(10, 10, 1, 1))
    told = _prepare(_choice(lemons), tmp_path / "out")
    frame = read_manifest(tmp_path / "out")
    assert len(frame) == TOTAL - 1
    assert "images/0000_A_0.png" not in set(frame["source"])
    assert any("1 photos left out, as all their regions vanish" in line for line in told)

    told = _prepare(_choice(lemons, subset={"defect_free": "include"}), tmp_path / "out")
    frame = read_manifest(tmp_path / "out").set_index("source")
    assert len(frame) == TOTAL
    assert list(frame.loc["images/0000_A_0.png", "classes"]) == []
    assert any("defect vanishes at this size in 1 photos that stay" in line for line in told)


def test_a_class_that_vanishes_beside_another_is_told(lemons, tmp_path):
    _add_region(lemons, 3, 5, _box(20, 20, 1, 1))
    for index in (0, 1, 2, 4):
        _add_region(lemons, index, 5, _box(18, 18, 4, 4))
    several = {"classes": {"mould": ["mould"], "dot": ["dot"]}, "overlap": "mix"}
    told = _prepare(_choice(lemons, subset=several), tmp_path / "out")
    assert any("dot vanishes at this size in 1 photos that stay" in line for line in told)
    names = [c.name for c in read_classes(tmp_path / "out")]
    assert names == ["background", "mould", "dot", "mix"]


def test_photos_whose_classes_overlap_can_be_left_out(lemons, tmp_path):
    _add_region(lemons, 3, 5, _box(10, 10, 4, 4))
    for index in range(5):
        _add_region(lemons, index + 5, 5, _box(18, 18, 4, 4))
    several = {"classes": {"mould": ["mould"], "dot": ["dot"]}, "overlap": "exclude"}
    told = _prepare(_choice(lemons, subset=several), tmp_path / "out")
    assert "1 photos left out, as their classes overlap" in told
    assert len(read_manifest(tmp_path / "out")) == TOTAL - 1


def test_all_faults_are_told_at_once_and_the_old_set_stays(lemons, tmp_path):
    _prepare(_choice(lemons), tmp_path / "out")
    before = (tmp_path / "out/manifest.parquet").read_bytes()
    photo = lemons / "images/0001_A_1.png"
    photo.write_bytes(photo.read_bytes()[:60])
    _add_region(lemons, 77, 4, _box(0, 0, 4, 4))
    with pytest.raises(UserError) as caught:
        _prepare(_choice(lemons), tmp_path / "out")
    message = str(caught.value)
    assert message.startswith("2 problems in")
    assert "0001_A_1.png: " in message
    assert "image_id: got 77, expected an id of images" in message
    assert (tmp_path / "out/manifest.parquet").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_photos_without_an_object_are_faults(lemons, tmp_path):
    _change(lemons, lambda c: c.update(annotations=c["annotations"][2:]))  # none left on photo 0
    Image.new("RGB", (32, 32)).save(lemons / "images/0000_A_0.png")
    for source, complaint in (
        ("category", r"0000_A_0\.png: dataset\.object\.category: got no region"),
        ("threshold", r"0000_A_0\.png: dataset\.object\.threshold: got no pixel brighter"),
    ):
        with pytest.raises(UserError, match=rf"^1 problem in (.|\n)*{complaint}"):
            _prepare(_choice(lemons, source, subset={"defect_free": "include"}), tmp_path / "out")


def test_identical_photos_on_two_sides_are_warned_of(lemons, tmp_path):
    source = (lemons / "images/0000_A_0.png").read_bytes()
    for index in range(1, 5):
        (lemons / f"images/{index:04d}_A_{index}.png").write_bytes(source)
    told = _prepare(_choice(lemons), tmp_path / "out")
    assert any("WARNING: 5 photos have an identical copy" in line for line in told)


def test_a_subset_without_photos_is_refused(lemons, tmp_path):
    with pytest.raises(UserError, match="'mould' selects none of 20 photos"):
        _prepare(_choice(lemons, subset={"classes": {"d": ["dot"]}}), tmp_path / "out")


def test_groups_from_the_data_sets_csv(lemons, tmp_path):
    rows = [f"images/{i % 5:04d}_A_{i}.png,box{i % 4}" for i in range(TOTAL)]
    (lemons / "groups.csv").write_text("image,group\n" + "\n".join(rows) + "\n")
    split = {"group_pattern": None, "group_csv": "groups.csv"}
    _prepare(_choice(lemons, split=split), tmp_path / "out")
    frame = read_manifest(tmp_path / "out")
    assert set(frame["group"]) == {"box0", "box1", "box2", "box3"}
    assert frame.groupby("group")["split"].nunique().max() == 1
