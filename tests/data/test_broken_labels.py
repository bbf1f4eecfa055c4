"""Masks, COCO entries and tables of groups that cannot be used, through the stage a user runs."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.io.images import read_mask
from tests.data import broken_sets as sets
from tests.data.broken_sets import BROKEN, SIDE, TOTAL

LEFT_OUT = sets.name_of(BROKEN)
BY_VALUE = {"reader": "folders", "folders": sets.VALUES}


@pytest.fixture
def runner(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return sets.Runner(tmp_path, capsys)


def _one_problem(runner, labels, complaint, left_out=(LEFT_OUT,), **dataset):
    """The set is refused with this one problem, and loses only these photos where it is skipped."""
    result = runner.refused(labels, **dataset)
    problems = [" ".join([row["file"], row["field"] + ":", row["got"]]) for row in result.listed]
    assert len(problems) == max(len(left_out), 1)
    for problem in problems:
        assert complaint in problem
    if len(left_out) < TOTAL:
        result = runner(labels, **dataset, on_problem="skip")
        assert result.code == 0
        assert result.sources == [
            sets.name_of(i) for i in range(TOTAL) if sets.name_of(i) not in left_out
        ]
        assert len(result.listed) == len(problems)


def _save_mask(image: Image.Image, path) -> None:
    image.save(path, format="PNG")


def _palette(values: np.ndarray) -> Image.Image:
    image = Image.frombytes("P", values.shape[::-1], values.tobytes())
    image.putpalette([0, 0, 0, *[255, 255, 255] * 255])
    return image


MASKS = {
    "of-another-size": (Image.new("L", (8, 8)), "size: 8×8 px"),
    "of-an-unknown-value": (Image.fromarray(sets.mask_pixels(5)), "values: 5"),
    "in-colours": (Image.fromarray(sets.mask_pixels(1)).convert("RGB"), "mode: colours (RGB)"),
    # an index of 3, of which the palette knows no class
    "of-an-unknown-index": (_palette(sets.mask_pixels(3)), "values: 3"),
    "grey-of-the-palettes-colour": (Image.fromarray(sets.mask_pixels(255)), "values: 255"),
}


@pytest.fixture
def by_value(runner):
    for path in (runner.root / "masks").iterdir():
        Image.fromarray(sets.mask_pixels(1)).save(path)
    return runner


@pytest.mark.parametrize("fault", MASKS)
def test_a_mask_that_does_not_fit_is_named(by_value, fault):
    image, complaint = MASKS[fault]
    _save_mask(image, by_value.root / "masks" / LEFT_OUT)
    _one_problem(by_value, BY_VALUE, f"masks/{LEFT_OUT} {complaint}")


def test_a_palette_mask_is_read_by_its_index(by_value):
    _palette(sets.mask_pixels(1)).save(by_value.root / "masks" / LEFT_OUT)
    result = by_value(BY_VALUE)
    assert result.code == 0 and LEFT_OUT in result.sources


def test_a_mask_of_nan_is_named(runner):
    values = np.where(sets.mask_pixels() > 0, np.float32(np.nan), np.float32(0))
    Image.fromarray(values).save(runner.root / "masks" / LEFT_OUT, format="TIFF")
    _one_problem(runner, sets.FOLDERS, f"masks/{LEFT_OUT} values: NaN or infinity")


@pytest.mark.parametrize("content", [b"", b"text"])
def test_a_damaged_mask_is_named(runner, content):
    (runner.root / "masks" / LEFT_OUT).write_bytes(content)
    _one_problem(runner, sets.FOLDERS, f"masks/{LEFT_OUT} format: ")


def test_a_photo_without_mask_is_named(runner):
    (runner.root / "masks" / LEFT_OUT).unlink()
    _one_problem(runner, sets.FOLDERS, f"masks/{LEFT_OUT} dataset.folders.mask: no such mask")


def test_a_mask_without_photo_is_named(runner):
    lost = runner.root / "masks" / "lost.png"
    Image.fromarray(sets.mask_pixels()).save(lost)
    complaint = "masks/lost.png dataset.folders.images: a mask without photo"
    _one_problem(runner, sets.FOLDERS, complaint, left_out=())


def test_two_photos_of_one_stem_share_a_mask(runner):
    (runner.root / "images" / LEFT_OUT).rename(runner.root / "images" / "03_lemon.bmp")
    Image.fromarray(sets.photo_pixels(9)).save(runner.root / "images" / "03_lemon.jpg")
    result = runner.refused(sets.FOLDERS)
    assert [row["photo"] for row in result.listed] == ["images/03_lemon.bmp", "images/03_lemon.jpg"]
    assert "also the mask of images/03_lemon.jpg" in result.err
    result = runner(sets.FOLDERS, on_problem="skip")
    assert len(result.sources) == TOTAL - 1 and LEFT_OUT not in result.sources


def test_a_name_that_is_no_utf8_is_named(runner):
    path = runner.root / "images" / LEFT_OUT
    (runner.root / "masks" / LEFT_OUT).unlink()
    try:
        path.rename(path.with_name("\udcff.png"))
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system has names in UTF-8 only")
    _one_problem(runner, sets.FOLDERS, "images/\\udcff.png name: bytes that are no UTF-8")


@pytest.mark.parametrize(
    "make", [lambda path: path.symlink_to("gone.png"), os.mkfifo], ids=["link", "pipe"]
)
def test_a_photo_that_is_no_file_is_named(runner, make):
    """As a link is whose target was not fetched."""
    path = runner.root / "images" / LEFT_OUT
    path.unlink()
    make(path)
    (runner.root / "masks" / LEFT_OUT).unlink()
    _one_problem(runner, sets.FOLDERS, f"images/{LEFT_OUT} file: a link to nothing, a pipe or a")


def test_a_folder_with_the_name_of_a_photo_is_none(runner):
    path = runner.root / "images" / LEFT_OUT
    path.unlink()
    path.mkdir()
    result = runner.refused(sets.FOLDERS)
    assert [(row["file"], row["got"]) for row in result.listed] == [
        (str(runner.root / "masks" / LEFT_OUT), "a mask without photo")
    ]


def test_a_name_cannot_begin_a_message_of_its_own(runner):
    name = "a\nerror: \x1b[31mnothing is wrong.png"
    (runner.root / "images" / LEFT_OUT).rename(runner.root / "images" / name)
    (runner.root / "masks" / LEFT_OUT).rename(runner.root / "masks" / name)
    (runner.root / "images" / name).write_bytes(b"")
    result = runner.refused(sets.FOLDERS)
    assert r"/images/a\nerror: \x1b[31mnothing is wrong.png: format: got an empty" in result.err
    assert result.err.count("\n") == 3 and "\x1b" not in result.err
    assert result.listed[0]["photo"] == f"images/{name}"


# what of the content is changed, the complaint, and which photos it costs
def _segmentation(new):
    def change(content):
        content["annotations"][BROKEN]["segmentation"] = new

    return change


def _entry(part, **new):
    def change(content):
        content[part][BROKEN].update(new)

    return change


def _lose(part, key):
    def change(content):
        del content[part][BROKEN][key]

    return change


def _far_polygon(content):
    content["annotations"][BROKEN]["segmentation"] = [sets.box(1e9, 1e9, 2e9, 2e9)]


ANNOTATION = f"labels.json annotations[{BROKEN}] (id {BROKEN})."
IMAGE = f"labels.json images[{BROKEN}]"
NOTHING = ()
COCO = {
    "polygon-outside": (
        _segmentation([sets.box(20, 4, 24, 8)]),
        ANNOTATION + "segmentation: a polygon with x from 20 to 24",
    ),
    "polygon-far-outside": (
        _segmentation([sets.box(-900, 4, 8, 8)]),
        ANNOTATION + "segmentation: a polygon with x from -900 to 8",
    ),
    "polygon-at-1e9": (_far_polygon, ANNOTATION + "segmentation: a polygon of 8 values"),
    "polygon-of-an-integer-beyond-floats": (
        _segmentation([[10**400, 1, 2, 3, 4, 5]]),
        ANNOTATION + "segmentation: a polygon of 6 values",
    ),
    "polygon-of-nan": (
        _segmentation([[float("nan"), 1, 2, 3, 4, 5]]),
        ANNOTATION + "segmentation: a polygon of 6 values",
    ),
    "polygon-of-odd-length": (
        _segmentation([[1, 2, 3, 4, 5, 6, 7]]),
        ANNOTATION + "segmentation: a polygon of 7 values",
    ),
    "polygon-of-text": (_segmentation("2 4 8 4"), ANNOTATION + "segmentation: str '2 4 8 4'"),
    "box-without-outline": (
        _segmentation([]),
        f"images/{LEFT_OUT} annotations[{BROKEN}] (id {BROKEN}).segmentation: no outline of mould",
    ),
    "two-points-as-outline": (
        _segmentation([[1, 1, 9, 9]]),
        f"images/{LEFT_OUT} annotations[{BROKEN}] (id {BROKEN}).segmentation: "
        "less than three points as outline of mould",
    ),
    "rle-of-the-wrong-size": (
        _segmentation({"size": [SIDE, 8], "counts": [SIDE * 8]}),
        ANNOTATION + "segmentation: RLE of size [16, 8]",
    ),
    "rle-of-huge-counts": (
        _segmentation({"size": [SIDE, SIDE], "counts": [10**18]}),
        ANNOTATION + "segmentation: counts that add up to 1000000000000000000",
    ),
    "rle-of-negative-counts": (
        _segmentation({"size": [SIDE, SIDE], "counts": [300, -44]}),
        ANNOTATION + "segmentation: other counts",
    ),
    "rle-of-fractions": (
        _segmentation({"size": [SIDE, SIDE], "counts": [255.5, 0.5]}),
        ANNOTATION + "segmentation: other counts",
    ),
    "rle-of-endless-digits": (
        _segmentation({"size": [SIDE, SIDE], "counts": "o" * 100_000}),
        ANNOTATION + "segmentation: other counts",
    ),
    "rle-without-counts": (
        _segmentation({"size": [SIDE, SIDE]}),
        ANNOTATION + "segmentation: other counts",
    ),
    "no-such-category": (_entry("annotations", category_id=99), ANNOTATION + "category_id: 99"),
    "no-category": (_lose("annotations", "category_id"), ANNOTATION + "category_id: None"),
    "width-of-text": (_entry("images", width="16"), IMAGE + ".width: '16'"),
    "width-of-nan": (_entry("images", width=float("nan")), IMAGE + ".width: nan"),
    "width-below-0": (_entry("images", width=-16, height=-16), IMAGE + ".width: -16"),
    "frame-of-a-gigapixel": (
        _entry("images", width=10**5, height=10**5),
        IMAGE + ".width, height: 100000×100000",
    ),
    "of-another-aspect": (_entry("images", width=24), IMAGE + ".width, height: 24×16"),
    "no-such-photo": (
        _entry("images", file_name="gone.png"),
        IMAGE + ".file_name: 'gone.png', which is not there",
    ),
    "photo-outside": (
        _entry("images", file_name="../../secret.png"),
        IMAGE + ".file_name: '../../secret.png', which leads out",
    ),
    "name-with-a-null-byte": (
        _entry("images", file_name="a\0b.png"),
        IMAGE + r".file_name: 'a\x00b.png', which is not there",
    ),
    "name-beyond-the-file-system": (
        _entry("images", file_name="a" * 5000),
        IMAGE + ".file_name: 'aaa",
    ),
    "name-of-half-a-character": (
        _entry("images", file_name="\ud800.png"),
        IMAGE + r".file_name: '\ud800.png'",
    ),
}


def _rewrite(runner, change) -> None:
    content = sets.coco_content()
    change(content)
    (runner.root / "labels.json").write_text(json.dumps(content))


@pytest.mark.parametrize("fault", COCO)
def test_a_broken_entry_is_named(runner, fault):
    change, complaint = COCO[fault]
    Image.fromarray(sets.photo_pixels(0)).save(runner.root.parent / "secret.png")
    _rewrite(runner, change)
    _one_problem(runner, sets.COCO, complaint)


def _duplicate_image(content):
    content["images"][BROKEN]["id"] = content["images"][0]["id"]
    content["annotations"].pop(BROKEN)


def _two_entries_of_a_photo(content):
    content["images"][BROKEN]["file_name"] = content["images"][0]["file_name"]


def test_a_name_of_megabytes_is_told_in_part(runner):
    def rename(content):
        content["images"][BROKEN]["file_name"] = "x" * 10**6
        content["categories"].append({"id": 9, "name": "y" * 10**6})

    _rewrite(runner, rename)
    result = runner.refused(sets.COCO)
    assert len(result.err) < 3000
    category, photo = result.listed
    assert (category["field"], category["got"]) == ("categories[2].name", "1000000 characters")
    assert photo["field"] == f"images[{BROKEN}].file_name"
    assert len(photo["got"]) == len(photo["photo"]) == 4096


def _category_of_two_names(content):
    content["categories"].append({"id": 8, "name": "rot"})
    content["annotations"].append({"id": 9, "image_id": 100, "category_id": 8})


@pytest.mark.parametrize(
    ("change", "complaint", "left_out"),
    [
        (_duplicate_image, ".id: 100 as images[", {0, BROKEN}),
        (_two_entries_of_a_photo, ".file_name: ", {0, BROKEN}),
        (lambda content: content["annotations"].append({"image_id": 5}), "image_id: 5", NOTHING),
        (
            lambda content: content["images"].append({"id": 5}),
            "images[8]: id 5, file_name",
            NOTHING,
        ),
        (lambda content: content["categories"].append({"name": 5}), "categories[2]: id", NOTHING),
    ],
)
def test_entries_that_clash_or_lack_keys_are_named(runner, change, complaint, left_out):
    _rewrite(runner, change)
    result = runner.refused(sets.COCO)
    assert len(result.listed) == max(len(left_out), 1)
    assert all(complaint in f"{row['field']}: {row['got']}" for row in result.listed)
    result = runner(sets.COCO, on_problem="skip")
    assert result.sources == [sets.name_of(i) for i in range(TOTAL) if i not in left_out]


def test_a_category_of_two_names_costs_the_photos_that_show_it(runner):
    _rewrite(runner, _category_of_two_names)
    result = runner.refused(sets.COCO)
    assert [row["field"] for row in result.listed] == [
        "categories[2].id",
        "annotations[8] (id 9).category_id",
    ]
    result = runner(sets.COCO, on_problem="skip")
    assert result.sources == [sets.name_of(i) for i in range(1, TOTAL)]


HARMLESS = {
    "ids-that-repeat-and-refer-in-a-circle": lambda content: (
        [entry.update(id=entry["id"] % 2) for entry in content["annotations"]],
        content["categories"][0].update(supercategory="stem"),
        content["categories"][1].update(supercategory="mould"),
    ),
    "areas-of-fractions-and-nan": lambda content: (
        content["annotations"][0].update(area=48.5),
        content["annotations"][BROKEN].update(area=float("nan")),
    ),
    "sizes-as-fractions": lambda content: content["images"][BROKEN].update(width=16.0, height=16.0),
    "no-sizes": lambda content: [
        content["images"][BROKEN].pop(side) for side in ("width", "height")
    ],
    "a-polygon-of-two-points-beside": lambda content: content["annotations"].append(
        {"image_id": 103, "category_id": 7, "segmentation": [[1, 1, 9, 9]]}
    ),
}


@pytest.mark.parametrize("oddity", HARMLESS)
def test_harmless_oddities_change_nothing(runner, oddity):
    _rewrite(runner, HARMLESS[oddity])
    result = runner(sets.COCO)
    assert (result.code, result.err) == (0, "")
    assert len(result.sources) == TOTAL
    mask = read_mask(result.prepared / "masks/03_lemon.png")
    assert (mask == (sets.mask_pixels() > 0)).all()
    assert ("1 annotations without an area" in result.out) == ("two-points" in oddity)


@pytest.mark.parametrize(
    ("polygon", "rows", "columns"),
    [
        (sets.box(-4, 4, 8, 12), slice(4, 12), slice(0, 8)),
        (sets.box(12, 12, 19, 30), slice(12, 16), slice(12, 16)),
    ],
)
def test_a_polygon_over_the_border_is_cut_there(runner, polygon, rows, columns):
    _rewrite(runner, _segmentation([polygon]))
    result = runner(sets.COCO)
    expected = np.zeros((SIDE, SIDE), bool)
    expected[rows, columns] = True
    assert (read_mask(result.prepared / "masks/03_lemon.png") == expected).all()


def test_a_polygon_that_crosses_itself_covers_both_its_parts(runner):
    _rewrite(runner, _segmentation([[2, 2, 14, 14, 14, 2, 2, 14]]))
    result = runner(sets.COCO)
    assert result.code == 0
    mask = read_mask(result.prepared / "masks/03_lemon.png")
    # two triangles, left and right of the crossing in (8, 8)
    assert mask[8, 3] == mask[8, 12] == 1
    assert mask[3, 8] == mask[12, 8] == 0
    assert 60 <= mask.sum() <= 84


@pytest.mark.parametrize(
    ("content", "complaints"),
    [
        (b'{"images": [', ["content: no JSON: Expecting value"]),
        (json.dumps(sets.coco_content()).encode("utf-16"), ["encoding: 'utf-8' codec can't"]),
        (b"\xff\xfe\x00", ["encoding: 'utf-8' codec can't"]),
        (b"[" * 200_000, ["content: brackets nested too deep"]),
        (b"[]", ["images: none", "annotations: none", "categories: none"]),
        (b'{"images": [], "annotations": []}', ["categories: none"]),
        (
            b'{"images": [1], "annotations": {}, "categories": []}',
            ["images: a list of other things", "annotations: dict"],
        ),
        (b'{"images": [], "annotations": [], "categories": []}', ["photos: none with labels"]),
        (b"1" * 5000, ["content: no JSON: Exceeds the limit"]),
    ],
)
def test_a_file_that_is_no_coco_is_refused_and_listed(runner, content, complaints):
    (runner.root / "labels.json").write_bytes(content)
    for on_problem in ("stop", "skip"):
        result = runner.refused(sets.COCO, on_problem=on_problem)
        assert str(runner.root) in result.err and "on_problem: skip" not in result.err
        assert len(result.listed) == len(complaints)
        for row, complaint in zip(result.listed, complaints, strict=True):
            assert f"{row['field']}: {row['got']}".startswith(complaint)
            assert Path(row["file"]).is_relative_to(runner.root) and row["remedy"]


@pytest.mark.parametrize("instead", [None, os.mkfifo, Path.mkdir])
def test_a_missing_file_of_labels_is_listed(runner, instead):
    """A pipe in its place would keep whoever reads it waiting for ever."""
    (runner.root / "labels.json").unlink()
    if instead is not None:
        instead(runner.root / "labels.json")
    [row] = runner.refused(sets.COCO).listed
    assert row["file"] == str(runner.root / "labels.json")
    assert (row["field"], row["got"]) == ("dataset.coco.annotations", "no such file")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "split.group_csv: no such file"),
        ("pipe", "split.group_csv: no such file"),
        (b"name,tree\n", "columns: ['name', 'tree']"),
        ("image,group\nä,1\n".encode("latin-1"), "encoding: 'utf-8' codec can't"),
    ],
)
def test_a_table_of_groups_that_is_none_is_listed_with_the_broken_photos(
    runner, content, complaint
):
    (runner.root / "images" / LEFT_OUT).write_bytes(b"")
    if content == "pipe":
        os.mkfifo(runner.root / "groups.csv")
    elif content is not None:
        (runner.root / "groups.csv").write_bytes(content)
    for on_problem in ("stop", "skip"):
        split = {"group_csv": "groups.csv"}
        photo, table = runner.refused(sets.COCO, split=split, on_problem=on_problem).listed
        assert (photo["photo"], photo["field"]) == (LEFT_OUT, "format")
        assert table["file"] == str(runner.root / "groups.csv")
        assert f"{table['field']}: {table['got']}".startswith(complaint)


def test_photos_without_a_group_are_named(runner):
    split = {"group_pattern": r"^0([0-24-9])"}
    complaint = f"{LEFT_OUT} split.group_pattern: neither its name nor its path matches"
    _one_problem(runner, sets.FOLDERS, complaint, split=split)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "groups.csv group: no group for images/03_lemon.png"),
        (
            "03_lemon.png,tree3\n03_lemon.png,tree4\n",
            "group: groups tree3 (line 5), tree4 (line 6)",
        ),
    ],
)
def test_faults_of_the_table_of_groups_are_named(runner, line, complaint):
    lines = [f"{sets.name_of(i)},tree{i}\n" for i in range(TOTAL)]
    lines[BROKEN] = line
    (runner.root / "groups.csv").write_text("image,group\n" + "".join(lines))
    _one_problem(runner, sets.FOLDERS, complaint, split={"group_csv": "groups.csv"})


def test_faults_of_photos_masks_and_groups_are_told_together(runner):
    (runner.root / "images" / LEFT_OUT).write_bytes(b"")
    (runner.root / "masks" / sets.name_of(0)).unlink()
    result = runner.refused(sets.FOLDERS, split={"group_pattern": r"^0([0-5])"})
    assert sorted(row["field"] for row in result.listed) == [
        "dataset.folders.mask",
        "format",
        "split.group_pattern",
        "split.group_pattern",
    ]


@pytest.mark.parametrize(
    ("kept", "dataset", "complaint"),
    [
        (1, {}, "split: got 1 photo, expected at least 3 for train and val and test"),
        (2, {}, "split: got 2 photos, expected at least 3"),
        (
            8,
            {"split": {"group_pattern": "^(0)"}},
            "split.group_pattern: got 1 group of 8 photos (0)",
        ),
        (
            8,
            {"split": {"folds": 9}},
            "split: got 8 photos, expected at least 9 for split.folds = 9",
        ),
    ],
)
def test_what_cannot_be_split_is_refused(runner, kept, dataset, complaint):
    for index in range(kept, TOTAL):
        for folder in ("images", "masks"):
            (runner.root / folder / sets.name_of(index)).unlink()
    assert complaint in runner.refused(sets.FOLDERS, **dataset).err


def test_a_class_that_nothing_could_learn_is_refused(runner):
    def one_stem(content):
        content["annotations"][BROKEN]["category_id"] = 8

    _rewrite(runner, one_stem)
    classes = {"mould": ["mould"], "stem": ["stem"]}
    errors, warnings = 0, 0
    for fold in range(4):
        split = {"folds": 4, "fold": fold}
        result = runner(sets.COCO, classes=classes, split=split)
        errors += "split.train: got no photo of class stem (photos: train 0," in result.err
        warnings += "WARNING: no photo of class stem in val" in result.out
    assert errors >= 1 and warnings >= 1
    result = runner.refused(sets.COCO, classes={"mould": ["mould"], "rot": ["rot"]})
    assert "the data set has no category 'rot'; it has: mould, stem" in result.err
