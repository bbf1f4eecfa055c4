import pandas as pd
import pytest

from pipeline.io.errors import UserError
from pipeline.io.manifests import (
    ClassInfo,
    read_classes,
    read_manifest,
    read_split,
    read_test,
    write_classes,
    write_manifest,
)


def frame(**changes):
    rows = {
        "id": ["c", "a", "b"],
        "image": ["images/c.png", "images/a.png", "images/b.png"],
        "mask": ["masks/c.png", "masks/a.png", "masks/b.png"],
        "object": [None, None, None],
        "split": ["train", "test", "train"],
        "classes": [["defect"], [], ["defect"]],
        "image_sha256": ["1", "2", "3"],
        "mask_sha256": ["4", "5", "6"],
    }
    return pd.DataFrame(rows | changes)


def test_splits_come_ordered_by_id(tmp_path):
    write_manifest(tmp_path, frame())
    assert list(read_split(tmp_path, "train")["id"]) == ["b", "c"]
    assert list(read_split(tmp_path, "val")["id"]) == []
    assert list(read_test(tmp_path)["id"]) == ["a"]


def test_the_test_set_has_no_other_door(tmp_path):
    write_manifest(tmp_path, frame())
    with pytest.raises(ValueError, match="expected 'train' or 'val'"):
        read_split(tmp_path, "test")


def test_a_missing_column_is_named(tmp_path):
    write_manifest(tmp_path, frame().drop(columns="mask"))
    with pytest.raises(UserError, match=r"manifest\.parquet: lacks the columns mask"):
        read_manifest(tmp_path)


def test_a_missing_or_broken_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match="not found"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.parquet").write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_manifest(tmp_path)


def test_classes_survive(tmp_path):
    classes = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "defect", (230, 60, 40))]
    write_classes(tmp_path, classes)
    assert read_classes(tmp_path) == classes


def test_broken_classes_are_named(tmp_path):
    (tmp_path / "classes.json").write_text('[{"index": 0}]')
    with pytest.raises(UserError, match=r"classes\.json"):
        read_classes(tmp_path)
