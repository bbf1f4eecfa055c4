import json

import pytest
from PIL import Image

from pipeline.data.readers import DatasetSettings, read_dataset
from pipeline.io.errors import UserError
from pipeline.io.params import parse

COCO = {"annotations": "a.json", "images": "."}


def _settings(**changes):
    content = {"path": "x", "reader": "coco", "coco": COCO, "object": {"source": "none"}}
    return parse(DatasetSettings, "dataset", {**content, **changes})


@pytest.fixture
def root(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    categories = [{"id": 1, "name": "fruit"}, {"id": 2, "name": "mould"}]
    image = {"id": 1, "file_name": "a.png", "width": 4, "height": 4}
    content = {"images": [image], "categories": categories, "annotations": []}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return tmp_path


def test_only_the_chosen_readers_block_is_needed(root):
    settings = _settings(path=str(root))
    assert settings.folders is None
    assert [record.source for record in read_dataset(settings).records] == ["a.png"]
    with pytest.raises(UserError, match=r"dataset\.folders: got None, expected a block of sett"):
        _settings(reader="folders")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"source": "threshold"}, r"dataset\.object\.threshold: got None, expected a setting"),
        ({"source": "category"}, r"dataset\.object\.category: got None, expected a setting"),
        ({"source": "threshold", "threshold": 255}, r"dataset\.object\.threshold: got 255"),
    ],
)
def test_the_silhouettes_source_needs_its_parameter(content, complaint):
    with pytest.raises(UserError, match=complaint):
        _settings(object=content)


def test_an_unknown_object_category_lists_those_there_are(root):
    chosen = {"source": "category", "category": "lemon"}
    with pytest.raises(UserError, match=r"object\.category: got 'lemon'.*fruit, mould"):
        read_dataset(_settings(path=str(root), object=chosen))
    assert _settings(object={"source": "category", "category": "fruit"}).object_category == "fruit"
    assert _settings(object={"source": "none", "category": "fruit"}).object_category is None


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.path: .* is no folder"):
        read_dataset(_settings(path=str(tmp_path / "none")))
