"""The demo data set on disk: photos and COCO annotations in the format of the Lemons archive.

Keys, category ids and the `images/` prefix are those of the archive's CVAT export, so whatever
reads the demo reads the archive.
"""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.data.coco_regions import encode_region
from pipeline.data.lemon_renderer import DemoSettings, Photo, render_fruit
from pipeline.io.atomic import output_folder, write_bytes, write_json
from pipeline.io.processes import by_all_cores
from pipeline.io.progress import progress

CATEGORIES = (
    "image_quality",
    "illness",
    "gangrene",
    "mould",
    "blemish",
    "dark_style_remains",
    "artifact",
    "condition",
    "pedicel",
)
ANNOTATIONS_FILE = "instances_default.json"


def render_demo(folder: Path, settings: DemoSettings) -> dict[str, int]:
    """Render the set into folder/images and folder/annotations, replacing what was there.

    Returns:
        How many photos hold a region of each category, and how many hold none (`healthy`).
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with output_folder(folder / "images") as photos, progress(settings.fruits, "fruits") as bar:
        for fruit in _render_all(settings):
            for file_name, jpeg, regions in fruit:
                write_bytes(photos / file_name, jpeg)
                images.append(_image_entry(len(images) + 1, file_name, settings.size_px))
                for category, region in regions:
                    annotations.append(
                        _annotation(len(annotations) + 1, len(images), category, region)
                    )
            bar.update()
    with output_folder(folder / "annotations") as target:
        write_json(target / ANNOTATIONS_FILE, _export(images, annotations))
    return _count(images, annotations)


def _render_all(settings: DemoSettings) -> Iterator[list[tuple[str, bytes, list]]]:
    """The fruits in order, whatever the number of processes."""
    return by_all_cores(partial(_encode_fruit, settings), settings.fruits)


def _encode_fruit(settings: DemoSettings, index: int) -> list[tuple[str, bytes, list]]:
    """File name, JPEG bytes and (category, encoded region) of each view."""
    return [
        (
            photo.file_name,
            _jpeg(photo, settings.jpeg_quality),
            [(category, encode_region(mask)) for category, mask in photo.regions],
        )
        for photo in render_fruit(index + 1, settings)
    ]


def _jpeg(photo: Photo, quality: int) -> bytes:
    buffer = io.BytesIO()
    # Full chroma: at half of it yellow bleeds over the outline into the black.
    Image.fromarray(photo.image).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _image_entry(image_id: int, file_name: str, size_px: int) -> dict[str, Any]:
    return {
        "id": image_id,
        "width": size_px,
        "height": size_px,
        "file_name": f"images/{file_name}",
        "license": 0,
        "flickr_url": "",
        "coco_url": "",
        "date_captured": 0,
    }


def _annotation(
    annotation_id: int, image_id: int, category: str, region: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": CATEGORIES.index(category) + 1,
        **region,
        "attributes": {"occluded": False},
    }


def _export(images: list[dict], annotations: list[dict]) -> dict[str, Any]:
    info = ("contributor", "date_created", "description", "url", "version", "year")
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": dict.fromkeys(info, ""),
        "categories": [
            {"id": index + 1, "name": name, "supercategory": ""}
            for index, name in enumerate(CATEGORIES)
        ],
        "images": images,
        "annotations": annotations,
    }


def _count(images: list[dict], annotations: list[dict]) -> dict[str, int]:
    shown = {(item["image_id"], item["category_id"]) for item in annotations}
    counts = {
        name: sum(category == index + 1 for _, category in shown)
        for index, name in enumerate(CATEGORIES)
    }
    counts["healthy"] = len(images) - len({image for image, _ in shown})
    return counts
