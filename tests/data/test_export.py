import json

import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO

from pipeline.data.export import write_coco, write_image_folder_metadata
from pipeline.io.images import write_image, write_mask
from pipeline.io.manifests import ClassInfo

CLASSES = [
    ClassInfo(0, "background", (0, 0, 0)),
    ClassInfo(1, "blemish", (255, 0, 0)),
    ClassInfo(2, "mould", (0, 255, 0)),
]


def noisy_masks() -> list[np.ndarray]:
    """Masks with holes, regions that touch at corners only, at the border, and none at all."""
    rng = np.random.default_rng(0)
    ring = np.zeros((9, 13), dtype=np.uint8)
    ring[2:8, 3:10] = 1
    ring[4:6, 5:7] = 0
    ring[4, 5] = 2
    corners = np.zeros((9, 13), dtype=np.uint8)
    corners[0, 0], corners[1, 1], corners[8, 12] = 1, 1, 2
    random = rng.integers(0, 3, size=(9, 13)).astype(np.uint8)
    return [ring, corners, np.zeros((9, 13), dtype=np.uint8), random]


@pytest.fixture
def written(tmp_path):
    rows = []
    for i, mask in enumerate(noisy_masks()):
        row = {"id": f"pair_{i}", "image": f"images/{i}.png", "mask": f"masks/{i}.png"}
        write_image(tmp_path / row["image"], np.zeros((9, 13, 3), dtype=np.uint8))
        write_mask(tmp_path / row["mask"], mask, [item.colour for item in CLASSES])
        present = [CLASSES[c].name for c in np.unique(mask) if c > 0]
        rows.append(row | {"object": None, "index": np.int64(i), "classes": np.array(present)})
    return tmp_path, pd.DataFrame(rows).assign(image_sha256="aa", mask_sha256="bb")


def test_pycocotools_gives_the_masks_back_exactly(written):
    folder, frame = written
    write_coco(folder, frame, CLASSES)
    coco = COCO(folder / "coco.json")
    assert {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())} == {
        1: "blemish",
        2: "mould",
    }
    for row, expected in zip(frame.to_dict("records"), noisy_masks(), strict=True):
        [image] = [i for i in coco.loadImgs(coco.getImgIds()) if i["file_name"] == row["image"]]
        assert (image["height"], image["width"]) == (9, 13)
        mask = np.zeros((9, 13), dtype=np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            region = coco.annToMask(annotation)
            assert annotation["area"] == region.sum()
            assert not mask[region > 0].any()  # regions do not overlap
            mask += region * annotation["category_id"]
        assert np.array_equal(mask, expected)
    ids = [annotation["id"] for annotation in coco.dataset["annotations"]]
    assert ids == list(range(1, len(ids) + 1))


def test_metadata_follows_the_rules_of_image_folders(written):
    folder, frame = written
    write_image_folder_metadata(folder, frame)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert rows[0] == {
        "id": "pair_0",
        "file_name": "images/0.png",
        "mask_file_name": "masks/0.png",
        "index": 0,
        "classes": ["blemish", "mould"],
    }
    for row in rows:
        assert (folder / row["file_name"]).is_file()
        assert (folder / row["mask_file_name"]).is_file()


def test_metadata_lists_silhouettes_where_there_are_some(written):
    folder, frame = written
    write_image_folder_metadata(folder, frame.assign(object="objects/x.png"))
    first = json.loads((folder / "metadata.jsonl").read_text().splitlines()[0])
    assert first["object_file_name"] == "objects/x.png"
