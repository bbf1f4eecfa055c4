import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from pipeline.data.coco import CocoSettings, read_coco
from pipeline.data.problems import FaultError

SETTINGS = CocoSettings(annotations="annotations/instances.json", images=".")
SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]  # columns 2…5, rows 1…3


def _mask(rows=slice(1, 4), columns=slice(2, 6)):
    mask = np.zeros((8, 10), bool)
    mask[rows, columns] = True
    return mask


def _region(segmentation, image_id=1, category_id=5, **more):
    return {"id": 1, "image_id": image_id, "category_id": category_id, **more} | {
        "segmentation": segmentation
    }


def _write(root, annotations, files=("images/a.png",), names=None, **changes):
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 8), (9, 9, 9)).save(path)
    content = {
        "images": [
            {"id": i, "file_name": name, "width": 10, "height": 8}
            for i, name in enumerate(names or files, start=1)
        ],
        "categories": [
            {"id": 5, "name": "blemish", "supercategory": ""},
            {"id": 4, "name": "mould"},
            {"id": 9, "name": "pedicel"},
        ],
        "annotations": annotations,
        **changes,
    }
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations/instances.json").write_text(json.dumps(content))
    return content


def _read(root):
    return read_coco(root, SETTINGS)


def _one(root):
    reading = _read(root)
    assert reading.problems == []
    (record,) = reading.records
    return record


def _column_runs(mask):
    flat = mask.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    return np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()


def test_polygon_covers_the_pixels_inside(tmp_path):
    _write(tmp_path, [_region([SQUARE], attributes={"occluded": False})])
    record = _one(tmp_path)
    assert record.source == "images/a.png"
    assert record.categories == {"blemish"}
    masks = record.masks({"blemish", "mould"})
    assert set(masks) == {"blemish"}
    assert masks["blemish"].dtype == bool
    assert (masks["blemish"] == _mask()).all()


def test_uncompressed_and_compressed_rle_agree_with_the_polygon(tmp_path):
    runs = _column_runs(_mask())
    assert sum(runs) == 80
    packed = rle.encode(np.asfortranarray(_mask().astype(np.uint8)))["counts"].decode()
    for counts in (runs, packed):
        _write(tmp_path, [_region({"size": [8, 10], "counts": counts}, iscrowd=1)])
        assert (_one(tmp_path).masks({"blemish"})["blemish"] == _mask()).all()


def test_regions_of_one_category_are_united_whatever_their_form_and_id(tmp_path):
    crowd = {"size": [8, 10], "counts": _column_runs(_mask(slice(6, 8), slice(0, 3)))}
    annotations = [
        _region([SQUARE, [8, 0, 10, 0, 10, 2, 8, 2]]),
        _region(crowd, iscrowd=1),
        _region([SQUARE], category_id=4),
    ]
    _write(tmp_path, annotations)
    record = _one(tmp_path)
    union = _mask() | _mask(slice(6, 8), slice(0, 3)) | _mask(slice(0, 2), slice(8, 10))
    assert record.categories == {"blemish", "mould"}
    assert (record.masks({"blemish"})["blemish"] == union).all()


def test_images_without_annotation_and_unused_categories_are_kept(tmp_path):
    _write(tmp_path, [_region([SQUARE], image_id=2)], files=("images/a.png", "images/b.png"))
    reading = _read(tmp_path)
    assert [sorted(record.categories) for record in reading.records] == [[], ["blemish"]]
    assert reading.records[0].masks({"blemish"}) == {}
    assert reading.categories == ["blemish", "mould", "pedicel"]


@pytest.mark.parametrize("name", ["a b (1).png", "images/a b (1).png", "images\\a b (1).png"])
@pytest.mark.parametrize("images", [".", "images", "nowhere"])
def test_photos_are_found_with_and_without_prefix(tmp_path, name, images):
    _write(tmp_path, [], files=("images/a b (1).png",), names=(name,))
    settings = CocoSettings(annotations="annotations/instances.json", images=images)
    (record,) = read_coco(tmp_path, settings).records
    assert record.source == "images/a b (1).png"


def test_every_fault_is_listed_with_file_and_field(tmp_path):
    annotations = [
        _region([SQUARE], image_id=77),
        _region([SQUARE], category_id=1),
        _region([[1, 2, 3, 4, 5]]),
        _region([[1, 2, 3, 4, 5, "x"]]),
        _region({"size": [8, 10], "counts": [5, 5]}),
        _region({"size": [10, 8], "counts": [80]}),
        _region({"size": [8, 10], "counts": "~~~~"}),
        _region({"size": [8, 10], "counts": ""}),
    ]
    names = ("images/a.png", "images/gone.png", "images/broken.png", "../outside.png")
    _write(tmp_path / "set", annotations, names=names)
    (tmp_path / "set/images/broken.png").write_bytes(b"no image")
    Image.new("RGB", (10, 8)).save(tmp_path / "outside.png")
    problems = "\n".join(map(str, _read(tmp_path / "set").problems))
    for complaint in (
        "instances.json: annotations[0] (id 1).image_id: got 77, expected an id of images",
        "annotations[1] (id 1).category_id: got 1, expected an id of one category",
        "annotations[2] (id 1).segmentation: got a polygon of 5 values",
        "annotations[3] (id 1).segmentation: got a polygon of 6 values, expected pairs",
        "annotations[4] (id 1).segmentation: got counts that add up to 10, expected 80",
        "annotations[5] (id 1).segmentation: got RLE of size [10, 8], expected [8, 10]",
        "annotations[6] (id 1).segmentation: got other counts, expected a compressed RLE",
        "annotations[7] (id 1).segmentation: got counts that add up to 0, expected 80",
        "images[1].file_name: got 'images/gone.png', which is not there",
        "broken.png: format: got no image that can be recognised",
        "images[3].file_name: got '../outside.png', which leads out",
    ):
        assert complaint in problems
    assert len(problems.splitlines()) == 11


def test_clashing_ids_and_files_are_faults(tmp_path):
    image = {"id": 1, "file_name": "images/a.png", "width": 10, "height": 8}
    _write(
        tmp_path,
        [],
        files=("images/a.png", "images/b.png"),
        images=[image, {**image, "file_name": "images/b.png"}, {**image, "id": 2}],
        categories=[{"id": 5, "name": "blemish"}, {"id": 5, "name": "mould"}],
    )
    problems = _read(tmp_path).problems
    assert [(problem.field, problem.got) for problem in problems] == [
        ("categories[1].id", "5, which is blemish and mould"),
        ("images[0].id", "1 as images[1]"),
        ("images[1].id", "1 as images[0]"),
        ("images[0].file_name", "images/a.png, as in images[2]"),
        ("images[2].file_name", "images/a.png, as in images[0]"),
    ]
    assert _read(tmp_path).records == []


def test_two_ids_of_one_category_name_are_one_category(tmp_path):
    categories = [{"id": 5, "name": "blemish"}, {"id": 6, "name": "blemish"}]
    regions = [_region([SQUARE]), _region([[8, 0, 10, 0, 10, 2, 8, 2]], category_id=6)]
    _write(tmp_path, regions, categories=categories)
    reading = _read(tmp_path)
    assert reading.categories == ["blemish"]
    assert reading.records[0].masks({"blemish"})["blemish"].sum() == 12 + 4


def test_who_draws_a_box_or_two_points_has_not_said_where_the_region_is(tmp_path):
    annotations = [_region([], bbox=[0, 0, 4, 4]), _region([[0, 0, 4, 4]], category_id=4)]
    _write(tmp_path, annotations)
    reading = _read(tmp_path)
    # both are there, so the photo is not free of them; but nobody said where
    assert reading.records[0].categories == {"blemish", "mould"}
    with pytest.raises(FaultError, match=r"annotations\[1\] .*less than three points .* mould"):
        reading.records[0].masks({"mould"})
    with pytest.raises(FaultError, match=r"annotations\[0\] .*no outline of blemish"):
        reading.records[0].masks({"blemish"})
    assert "2 annotations without an area" in reading.notes[0]


def test_annotations_of_another_scale_are_kept_and_of_another_aspect_refused(tmp_path):
    double = {"id": 1, "file_name": "images/a.png", "width": 20, "height": 16}
    _write(tmp_path, [_region([[2 * v for v in SQUARE]])], images=[double])
    reading = _read(tmp_path)
    mask = reading.records[0].masks({"blemish"})["blemish"]
    assert (mask == _mask().repeat(2, axis=0).repeat(2, axis=1)).all()
    assert "annotated at 20×16: scaled" in reading.notes[0]

    _write(tmp_path, [], images=[{**double, "height": 20}])
    (problem,) = _read(tmp_path).problems
    assert problem.field == "images[0].width, height"
    assert (problem.got, problem.photo) == ("20×20", "images/a.png")


def test_masks_follow_the_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # stored 10×8, shown 8×10 after a quarter turn clockwise
    stored = {"id": 1, "file_name": "images/a.jpg", "width": 10, "height": 8}
    upright = {**stored, "width": 8, "height": 10}
    turned = np.rot90(_mask(), -1)
    for entry, polygon, expected in (
        (stored, SQUARE, turned),
        (upright, [4, 2, 7, 2, 7, 6, 4, 6], turned),
    ):
        _write(tmp_path, [_region([polygon])], files=("images/a.jpg",), images=[entry])
        Image.new("RGB", (10, 8)).save(tmp_path / "images/a.jpg", exif=exif)
        record = _one(tmp_path)
        assert record.size == (8, 10)
        assert (record.masks({"blemish"})["blemish"] == expected).all()
