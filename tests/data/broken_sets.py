"""Small labelled data sets, what can be wrong with them, and the stage run on them."""

import csv
import json
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.io.errors import run
from pipeline.io.manifests import read_manifest
from stages import preprocess_lemons_subsets

TOTAL = 8
SIDE = 16
BROKEN = 3  # the photo that is broken

FOLDERS = {
    "reader": "folders",
    "folders": {
        "images": "images/*",
        "mask": "masks/{stem}.png",
        "class_from": "constant",
        "class_name": "mould",
    },
}
VALUES = {**FOLDERS["folders"], "class_from": "value", "class_values": {"mould": [1]}}
COCO = {"reader": "coco", "coco": {"annotations": "labels.json", "images": "images"}}


def name_of(index: int, ending: str = "png") -> str:
    return f"{index:02d}_lemon.{ending}"


def photo_pixels(index: int) -> np.ndarray:
    """A photo that tells left from right and top from bottom, with noise that compresses badly."""
    pixels = np.random.default_rng(index).integers(90, 120, (SIDE, SIDE, 3), np.uint8)
    pixels[: SIDE // 2, : SIDE // 2] += 100
    return pixels


def mask_pixels(value: int = 255) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[4:12, 2:8] = value
    return mask


def box(left, top, right, bottom) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def coco_content() -> dict:
    return {
        "images": [
            {"id": 100 + i, "file_name": name_of(i), "width": SIDE, "height": SIDE}
            for i in range(TOTAL)
        ],
        "categories": [{"id": 7, "name": "mould"}, {"id": 8, "name": "stem"}],
        "annotations": [
            {"id": i, "image_id": 100 + i, "category_id": 7, "segmentation": [box(2, 4, 8, 12)]}
            for i in range(TOTAL)
        ],
    }


def write_set(root: Path) -> Path:
    """Eight photos with a mould each, readable by both readers."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(TOTAL):
        Image.fromarray(photo_pixels(index)).save(root / "images" / name_of(index))
        Image.fromarray(mask_pixels()).save(root / "masks" / name_of(index))
    (root / "labels.json").write_text(json.dumps(coco_content()))
    return root


def params_text(root: Path, labels: dict, **dataset) -> str:
    """A params.yaml (JSON is YAML) of the sections that preprocess-lemons-subsets reads."""
    split = {"train": 0.5, "val": 0.25, "test": 0.25} | dataset.pop("split", {})
    classes = dataset.pop("classes", {"mould": ["mould"]})
    subset = {"classes": classes, "others": "ignore", "defect_free": "exclude"}
    subset["overlap"] = "first" if len(classes) > 1 else None
    content = {
        "seed": 0,
        "dataset": {"path": str(root), **labels, "object": {"source": "none"}, **dataset},
        "subset": "chosen",
        "subsets": {"chosen": subset},
        "image": {"height": SIDE, "width": SIDE, "fit": "resize"},
        "split": split,
    }
    return json.dumps(content)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def bomb(side: int = 60_000) -> bytes:
    """A PNG of 3.6 gigapixels in a few bytes."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    content = zlib.compress(b"\0" * 1000)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", content), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def text_bomb(intact: bytes, kind: bytes = b"zTXt") -> bytes:
    """A PNG whose comment, or colour profile (iCCP), unpacks to a hundred megabytes."""
    comment = chunk(kind, b"Comment\0\0" + zlib.compress(b"\0" * 100_000_000, 9))
    end = intact.index(b"IDAT") - 4
    return intact[:end] + comment + intact[end:]


@dataclass(frozen=True)
class Result:
    """How the stage ended and what it left."""

    code: int
    out: str
    err: str
    prepared: Path
    listed: list[dict[str, str]]

    @property
    def sources(self) -> list[str]:
        return sorted(Path(source).name for source in read_manifest(self.prepared)["source"])


class Runner:
    """The stage as a user runs it, in this process: parameters in, exit code and messages out."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture) -> None:
        self.root = write_set(folder / "set")
        self.folder, self.capsys = folder, capsys

    def __call__(self, labels: dict, **dataset) -> Result:
        (self.folder / "params.yaml").write_text(params_text(self.root, labels, **dataset))
        prepared = self.folder / "data/prepared"
        shutil.rmtree(prepared, ignore_errors=True)
        self.capsys.readouterr()
        try:
            run(preprocess_lemons_subsets.main)
            code = 0
        except SystemExit as end:
            code = end.code
        said = self.capsys.readouterr()
        beside = prepared.with_name("prepared.problems.csv")
        path = beside if code else prepared / "problems.csv"
        assert not beside.exists() or code
        listed = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                listed = list(csv.DictReader(file))
        return Result(code, said.out, said.err, prepared, listed)

    def refused(self, labels: dict, **dataset) -> Result:
        """Run it on a set that must stop it: a message, no traceback, nothing half-written."""
        result = self(labels, **dataset)
        assert result.code == 1
        assert result.err.startswith("error: ")
        assert "Traceback" not in result.err + result.out
        left = {path.name for path in result.prepared.parent.iterdir()}
        assert left <= {"prepared.problems.csv"}
        return result
