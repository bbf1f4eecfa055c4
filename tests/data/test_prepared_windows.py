import numpy as np
import pytest
from PIL import Image

import pipeline.data.prepare as prepare
from pipeline.data.fitting import ImageSettings
from pipeline.data.prepared_set import Choice, write_prepared_set
from pipeline.data.readers import DatasetSettings, read_dataset
from pipeline.data.splits import SplitSettings
from pipeline.data.subsets import SubsetSettings
from pipeline.io.atomic import output_folder
from pipeline.io.errors import UserError
from pipeline.io.images import read_image, read_mask, read_silhouette
from pipeline.io.manifests import read_manifest
from pipeline.io.params import parse

TOTAL = 9


@pytest.fixture
def field(tmp_path):
    """9 photos of 48×32 px; the left third has a bright defect, and photo 0 another at the right.

    The object is what is brighter than black: columns 4 to 44 of all rows but the first two.
    """
    root = tmp_path / "field"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    for index in range(TOTAL):
        pixels = np.zeros((32, 48, 3), np.uint8)
        pixels[2:, 4:44] = rng.integers(60, 200, (30, 40, 3))
        mask = np.zeros((32, 48), np.uint8)
        mask[20:26, 6:14] = 255
        if index == 0:
            mask[4:6, 40:42] = 255
        Image.fromarray(pixels).save(root / f"images/p{index}_{index // 3}.png")
        Image.fromarray(mask).save(root / f"masks/p{index}_{index // 3}.png")
    return root


def _prepare(root, out, tile=16, side=16, source="none", defect_free="include", **split):
    folders = {
        "images": "images/*", "mask": "masks/{stem}.png", "mask_missing": "error",
        "class_from": "constant", "class_name": "defect", "class_pattern": None,
        "class_values": None, "threshold": 127, "defect_free": [],
    }  # fmt: skip
    dataset = {
        "path": str(root),
        "reader": "folders",
        "folders": folders,
        "object": {"source": source, "threshold": 16, "category": None},
    }
    subset = {"classes": {"defect": ["defect"]}, "others": "exclude", "defect_free": defect_free}
    shares = {"train": 0.34, "val": 0.33, "test": 0.33} | split
    choice = Choice(
        parse(DatasetSettings, "dataset", dataset),
        "all",
        parse(SubsetSettings, "subsets.all", subset),
        ImageSettings(height=side, width=side, fit="resize", tile=tile),
        parse(SplitSettings, "split", shares),
        0,
    )
    with output_folder(out) as folder:
        told = write_prepared_set(read_dataset(choice.dataset), choice, folder)
    return read_manifest(out), told


def test_each_window_is_a_pair_with_its_own_pixels(field, tmp_path):
    frame, told = _prepare(field, tmp_path / "out")
    assert len(frame) == TOTAL * 6
    assert "image.tile: 54 windows of 16 px from 9 photos" in told
    assert list(frame["id"][:6]) == [f"p0_0-r{row}c{col}" for row in range(2) for col in range(3)]
    for row in frame.itertuples():
        assert (row.width, row.height) == (16, 16)
        part = np.s_[row.top : row.top + 16, row.left : row.left + 16]
        photo = np.asarray(Image.open(field / row.source))[part]
        mask = np.asarray(Image.open(field / row.source.replace("images", "masks")))[part]
        assert (read_image(tmp_path / "out" / row.image) == photo).all()
        assert (read_mask(tmp_path / "out" / row.mask) == mask // 255).all()
        assert list(row.classes) == (["defect"] if mask.any() else [])


def test_no_photo_lies_on_two_sides(field, tmp_path):
    frame, _ = _prepare(field, tmp_path / "out")
    assert set(frame["split"]) == {"train", "val", "test"}
    assert frame.groupby("source")["split"].nunique().max() == 1
    assert (frame["group"] == frame["source"]).all()


def test_windows_keep_their_photos_group(field, tmp_path):
    frame, _ = _prepare(field, tmp_path / "out", group_pattern=r"_(\d)")
    assert (frame["group"] == frame["source"].str.extract(r"_(\d)")[0]).all()
    assert frame.groupby("group")["split"].nunique().max() == 1


def test_fewer_photos_than_parts_are_refused(field, tmp_path):
    for path in list((field / "images").iterdir())[2:]:
        path.unlink()
        (field / "masks" / path.name).unlink()
    complaint = r"split: got 2 photos, expected at least 3 for train and val and test"
    with pytest.raises(UserError, match=complaint):
        _prepare(field, tmp_path / "out")


def test_windows_without_a_region_are_left_out_where_the_subset_says_so(field, tmp_path):
    frame, told = _prepare(field, tmp_path / "out", defect_free="exclude")
    shown = {"p0_0-r0c2"} | {f"p{i}_{i // 3}-r1c0" for i in range(TOTAL)}
    assert set(frame["id"]) == shown
    # 54 windows, of which 10 show a region
    assert "44 windows left out, as they show no region and defect_free is exclude" in told


def test_a_region_that_vanishes_in_its_window_is_told(field, tmp_path):
    mask = np.zeros((32, 48), np.uint8)
    mask[20:26, 6:14] = 255
    mask[2, 40] = 255  # every other pixel stays: the odd ones
    Image.fromarray(mask).save(field / "masks/p0_0.png")
    frame, told = _prepare(field, tmp_path / "out", side=8, defect_free="exclude")
    assert len(frame) == TOTAL
    lost = "1 windows left out, as all their regions vanish at this size: images/p0_0.png"
    assert lost in told
    assert not any("vanishes" in line for line in told)
    frame, told = _prepare(field, tmp_path / "all", side=8)
    assert len(frame) == TOTAL * 6
    assert "defect vanishes at this size in 1 windows that stay" in told


def test_silhouettes_are_those_of_the_whole_photo(field, tmp_path):
    frame, told = _prepare(field, tmp_path / "out", source="threshold")
    whole = np.zeros((32, 48), bool)
    whole[2:, 4:44] = True
    for row in frame.itertuples():
        part = whole[row.top : row.top + 16, row.left : row.left + 16]
        assert (read_silhouette(tmp_path / "out" / row.object) == part).all()
    assert not any("left out" in line for line in told)


def test_windows_beside_the_object_are_left_out(field, tmp_path):
    for path in (field / "images").iterdir():
        pixels = np.array(Image.open(path))
        pixels[:, 30:] = 0
        Image.fromarray(pixels).save(path)
    (field / "masks/p0_0.png").write_bytes((field / "masks/p1_0.png").read_bytes())
    frame, told = _prepare(field, tmp_path / "out", source="threshold")
    assert len(frame) == TOTAL * 4
    assert f"{TOTAL * 2} windows left out, as the object is not in them" in told


def test_a_photo_without_an_object_stays_a_fault(field, tmp_path):
    Image.new("RGB", (48, 32)).save(field / "images/p1_0.png")
    (field / "masks/p1_0.png").unlink()
    Image.new("L", (48, 32)).save(field / "masks/p1_0.png")
    with pytest.raises(
        UserError, match=r"1 problem in (.|\n)*no pixel brighter, the brightest is 0"
    ):
        _prepare(field, tmp_path / "out", source="threshold")


def test_a_photo_is_decoded_once_for_all_its_windows(field, tmp_path, monkeypatch):
    read, calls = prepare.read_photo, []
    monkeypatch.setattr(prepare, "read_photo", lambda *a: calls.append(a[0]) or read(*a))
    _prepare(field, tmp_path / "out")
    assert len(calls) == TOTAL


def test_a_window_larger_than_the_photos_changes_nothing_but_the_names(field, tmp_path):
    whole, _ = _prepare(field, tmp_path / "whole", tile=None, source="threshold")
    one, _ = _prepare(field, tmp_path / "one", tile=48, source="threshold")
    assert "left" not in whole and (one[["left", "top"]] == 0).all(axis=None)
    assert list(one["id"]) == [f"{name}-r0c0" for name in whole["id"]]
    for column in ("image_sha256", "mask_sha256", "split", "group", "width", "height"):
        assert (one[column] == whole[column]).all()


def test_the_silhouette_of_a_whole_photo_is_that_of_the_fitted_one(field, tmp_path):
    for path in (field / "images").iterdir():
        pixels = np.array(Image.open(path))
        pixels[29:] = 0
        Image.fromarray(pixels).save(path)
    frame, _ = _prepare(field, tmp_path / "out", tile=None, source="threshold")
    for path in frame["object"]:
        # row 14 is the mean of row 28, which shows the object, and of row 29, which does not
        assert read_silhouette(tmp_path / "out" / path)[14, 2:14].all()


@pytest.mark.parametrize("shown", [(0, 1, 2), (0, 4, 8), (2, 3, 7), (1, 5, 6)])
def test_regions_are_shared_out_among_the_sides(field, tmp_path, shown):
    for index in set(range(TOTAL)) - set(shown):
        Image.new("L", (48, 32)).save(field / f"masks/p{index}_{index // 3}.png")
    frame, _ = _prepare(field, tmp_path / "out")
    with_region = frame[frame["classes"].map(len) > 0]
    assert with_region["source"].nunique() == 3
    assert set(with_region["split"]) == {"train", "val", "test"}
