import numpy as np
import pytest
from PIL import Image

from pipeline.data.folder_settings import FolderSettings
from pipeline.data.folders import read_folders
from pipeline.io.errors import UserError
from pipeline.io.params import parse

TILES = {
    "images": "MT_*/Imgs/*.jpg",
    "mask": "{folder}/{stem}.png",
    "class_from": "folder",
    "class_pattern": r"MT_(\w+)/",
    "defect_free": ["Free"],
}
CONSTANT = {"images": "images/*", "mask": "masks/{stem}_mask.png", "class_from": "constant"} | {
    "class_name": "scratch"
}


def _settings(content, **changes):
    return parse(FolderSettings, "dataset.folders", {**content, **changes})


def _photo(root, name, size=(10, 8)):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 90).save(root / name)


def _mask(root, name, values):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(root / name, quality=95)


def _square(value=255):
    mask = np.zeros((8, 10), np.uint8)
    mask[2:5, 3:7] = value
    return mask


def _by_source(reading):
    return {record.source: record for record in reading.records}


def test_class_from_the_folder_with_defect_free_photos(tmp_path):
    smooth = _square()
    smooth[1, 3:7] = 127
    smooth[5, 3:7] = 128
    for name in ("MT_Crack/Imgs/a", "MT_Free/Imgs/b", "MT_Free/Imgs/c"):
        _photo(tmp_path, f"{name}.jpg")
    _mask(tmp_path, "MT_Crack/Imgs/a.png", smooth)
    _mask(tmp_path, "MT_Free/Imgs/b.png", np.zeros((8, 10)))
    reading = read_folders(tmp_path, _settings(TILES))
    records = _by_source(reading)
    assert reading.problems == reading.notes == []
    assert reading.categories == ["Crack"]
    assert [r.categories for r in records.values()] == [{"Crack"}, frozenset(), frozenset()]
    mask = records["MT_Crack/Imgs/a.jpg"].masks({"Crack"})["Crack"]
    assert mask.dtype == bool
    assert (mask == (smooth > 127)).all()
    assert records["MT_Free/Imgs/c.jpg"].masks({"Crack"}) == {}


def test_an_empty_mask_in_a_defect_folder_is_left_out_with_a_note(tmp_path):
    for name in ("a", "b"):
        _photo(tmp_path, f"MT_Crack/Imgs/{name}.jpg")
    _mask(tmp_path, "MT_Crack/Imgs/a.png", _square())
    _mask(tmp_path, "MT_Crack/Imgs/b.png", np.zeros((8, 10)))
    reading = read_folders(tmp_path, _settings(TILES))
    assert list(_by_source(reading)) == ["MT_Crack/Imgs/a.jpg"]
    assert "1 photos left out" in reading.notes[0]
    assert "MT_Crack/Imgs/b.jpg" in reading.notes[0]


def test_jpeg_masks_beside_the_folder_of_the_photos(tmp_path):
    for part in ("train", "val"):
        _photo(tmp_path, f"{part}/images/DJI_1.JPG_2.jpg")
    _mask(tmp_path, "train/masks/DJI_1.JPG_2.jpg", _square())
    _mask(tmp_path, "val/masks/DJI_1.JPG_2.jpg", np.zeros((8, 10)))
    settings = _settings(CONSTANT, images="*/images/*.jpg", mask="{parent}/masks/{name}")
    records = _by_source(read_folders(tmp_path, settings))
    assert records["val/images/DJI_1.JPG_2.jpg"].categories == frozenset()
    train = records["train/images/DJI_1.JPG_2.jpg"].masks({"scratch"})["scratch"]
    assert (train == (_square() > 0)).all()


def test_masks_in_the_photos_folder_are_no_photos(tmp_path):
    _photo(tmp_path, "images/a b.png")
    _mask(tmp_path, "images/a b_mask.png", _square())
    settings = _settings(CONSTANT, images="images/*.png", mask="{folder}/{stem}_mask.png")
    assert list(_by_source(read_folders(tmp_path, settings))) == ["images/a b.png"]


def test_class_from_the_pixels_value_or_palette_index(tmp_path):
    values = _square(1)
    values[6, :] = 7
    for name in ("grey", "palette"):
        _photo(tmp_path, f"images/{name}.png")
    _mask(tmp_path, "masks/grey_mask.png", values)
    palette = Image.frombytes("P", (10, 8), values.tobytes())
    palette.putpalette([0, 0, 0, *[200, 10, 10] * 7])
    palette.save(tmp_path / "masks/palette_mask.png")
    listed = {"crack": [1, 2], "dent": [7], "stain": [9]}
    settings = _settings(CONSTANT, class_from="value", class_values=listed)
    reading = read_folders(tmp_path, settings)
    assert reading.categories == ["crack", "dent", "stain"]
    for record in reading.records:
        assert record.categories == {"crack", "dent"}
        masks = record.masks({"crack", "dent"})
        assert (masks["crack"] == (values == 1)).all()
        assert (masks["dent"] == (values == 7)).all()

    unlisted = _settings(CONSTANT, class_from="value", class_values={"crack": [1]})
    problems = read_folders(tmp_path, unlisted).problems
    assert len(problems) == 2
    assert "grey_mask.png: values: got 7, expected those of" in str(problems[0])
    ignored = _settings(
        CONSTANT, class_from="value", class_values={"background": [0, 7], "crack": [1]}
    )
    assert read_folders(tmp_path, ignored).categories == ["crack"]


def test_missing_masks_are_errors_or_mean_defect_free(tmp_path):
    for name in "ab":
        _photo(tmp_path, f"images/{name}.png")
    _mask(tmp_path, "masks/a_mask.png", _square())
    (problem,) = read_folders(tmp_path, _settings(CONSTANT)).problems
    assert "masks/b_mask.png: dataset.folders.mask: got no such mask" in str(problem)
    assert problem.photo == "images/b.png"
    reading = read_folders(tmp_path, _settings(CONSTANT, mask_missing="defect_free"))
    assert _by_source(reading)["images/b.png"].categories == frozenset()


def test_every_fault_is_listed(tmp_path):
    for name in ("small", "broken", "photo", "good"):
        _photo(tmp_path, f"images/{name}.png")
        _mask(tmp_path, f"masks/{name}_mask.png", _square())
    _mask(tmp_path, "masks/small_mask.png", np.zeros((4, 5)))
    (tmp_path / "masks/broken_mask.png").write_bytes(b"")
    (tmp_path / "images/photo.png").write_bytes(b"text")
    reading = read_folders(tmp_path, _settings(CONSTANT))
    problems = "\n".join(map(str, reading.problems))
    assert len(reading.problems) == 3
    assert "small_mask.png: size: got 5×4 px, expected that of images/small.png, 10×8" in problems
    assert "broken_mask.png: format: got an empty file" in problems
    assert "photo.png: format: got no image that can be recognised" in problems
    assert list(_by_source(reading)) == ["images/good.png"]


def test_a_region_in_a_defect_free_class_is_a_fault(tmp_path):
    _photo(tmp_path, "MT_Free/Imgs/a.jpg")
    _mask(tmp_path, "MT_Free/Imgs/a.png", _square())
    (problem,) = read_folders(tmp_path, _settings(TILES)).problems
    assert "got a region, but Free is in dataset.folders.defect_free" in str(problem)


def test_masks_of_zeros_and_ones_are_told_from_empty_ones(tmp_path):
    _photo(tmp_path, "images/a.png")
    _mask(tmp_path, "masks/a_mask.png", _square(1))
    with pytest.raises(UserError, match=r"highest value is 1, dataset\.folders\.threshold is 127"):
        read_folders(tmp_path, _settings(CONSTANT))
    reading = read_folders(tmp_path, _settings(CONSTANT, threshold=0))
    assert reading.records[0].masks({"scratch"})["scratch"].sum() == 12


def test_masks_follow_the_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "images").mkdir()
    Image.new("RGB", (10, 8)).save(tmp_path / "images/a.jpg", exif=exif)
    upright = np.rot90(_square(), -1)
    for values in (_square(), upright):
        _mask(tmp_path, "masks/a_mask.png", values)
        (record,) = read_folders(tmp_path, _settings(CONSTANT)).records
        assert record.size == (8, 10)
        assert (record.masks({"scratch"})["scratch"] == (upright > 0)).all()


def test_a_pattern_without_a_match_shows_what_there_is(tmp_path):
    _photo(tmp_path, "pictures/a.png")
    with pytest.raises(UserError, match=r"dataset\.folders\.images.*which holds: pictures"):
        read_folders(tmp_path, _settings(CONSTANT))


@pytest.mark.parametrize(
    ("content", "changes", "complaint"),
    [
        (TILES, {"class_pattern": None}, r"class_pattern: got None, expected a setting, as class_"),
        (TILES, {"class_pattern": "MT_"}, r"class_pattern: got 'MT_', .* with a group"),
        (CONSTANT, {"class_from": "value"}, r"class_values: got None"),
        (CONSTANT, {"mask": "{split}/{stem}.png"}, r"mask: got .* expected a path with \{folder\}"),
        (CONSTANT, {"treshold": 3}, r"dataset\.folders\.treshold: unknown parameter"),
    ],
)
def test_faulty_settings_are_named(content, changes, complaint):
    with pytest.raises(UserError, match=complaint):
        _settings(content, **changes)
