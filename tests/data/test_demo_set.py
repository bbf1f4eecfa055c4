"""The demo set on disk: the format of the archive, exact annotations, reproducible bytes."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from pipeline.data.demo_set import render_demo
from pipeline.data.lemon_renderer import DemoSettings, render_fruit
from pipeline.io.images import sha256_of

SETTINGS = DemoSettings(seed=3, fruits=4, views=2, size_px=96, jpeg_quality=92)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, render_demo(folder, SETTINGS)


def test_format_is_the_archives(rendered):
    folder, counts = rendered
    content = json.loads((folder / "annotations/instances_default.json").read_text())
    assert list(content) == ["licenses", "info", "categories", "images", "annotations"]
    named = {category["id"]: category["name"] for category in content["categories"]}
    assert named[2] == "illness" and named[4] == "mould" and named[5] == "blemish"
    assert named[9] == "pedicel" and len(named) == 9
    assert len(content["images"]) == 8
    for image in content["images"]:
        assert image["file_name"].startswith("images/0")
        with Image.open(folder / image["file_name"]) as photo:
            assert photo.format == "JPEG" and photo.size == (image["width"], image["height"])
    shown = {(item["image_id"], named[item["category_id"]]) for item in content["annotations"]}
    for name in named.values():
        assert counts[name] == sum(category == name for _, category in shown)


def test_annotations_decode_to_the_rendered_masks(rendered):
    folder, _ = rendered
    coco = COCO(folder / "annotations/instances_default.json")
    images = {image["file_name"]: image["id"] for image in coco.dataset["images"]}
    compared = 0
    for number in range(1, SETTINGS.fruits + 1):
        for photo in render_fruit(number, SETTINGS):
            ids = coco.getAnnIds(imgIds=images[f"images/{photo.file_name}"])
            for (name, mask), item in zip(photo.regions, coco.loadAnns(ids), strict=True):
                assert coco.cats[item["category_id"]]["name"] == name
                assert np.array_equal(coco.annToMask(item).astype(bool), mask)
                compared += 1
    assert compared > 3


def test_bytes_do_not_depend_on_the_number_of_processes(rendered, tmp_path, monkeypatch):
    folder, _ = rendered
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    render_demo(tmp_path, SETTINGS)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert len(files) == 9
    for file in files:
        assert sha256_of(folder / file) == sha256_of(tmp_path / file), file


def test_jpeg_keeps_the_background_black_enough_for_a_threshold(rendered):
    folder, _ = rendered
    for path in (folder / "images").iterdir():
        grey = np.array(Image.open(path).convert("L"))
        border = np.concatenate([grey[:4].ravel(), grey[-4:].ravel(), grey[:, :4].ravel()])
        assert border.max() <= 4
        assert (grey > 16).mean() > 0.1


def test_a_second_rendering_replaces_the_first(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/old.jpg").write_text("old")
    render_demo(tmp_path, SETTINGS.model_copy(update={"fruits": 1, "views": 1}))
    assert len(list((tmp_path / "images").iterdir())) == 1
