import pytest
from PIL import Image

from pipeline.io.errors import UserError
from pipeline.io.manifests import read_manifest
from stages.preprocess_lemons_subsets import main

PARAMS = """
seed: 0
dataset:
  path: tiles
  reader: folders
  folders: {images: '*/*.jpg', mask: '{folder}/{stem}.png', class_from: folder,
            class_pattern: '(\\w+)/'}
  object: {source: none}
subset: SUBSET
subsets:
  cracks: {classes: {defect: [crack]}, others: exclude, defect_free: exclude, expected_count: 7}
  all: {classes: {crack: [crack], dent: [dent]}, others: exclude, overlap: first,
        defect_free: exclude}
image: {height: 8, width: 8, fit: resize}
split: {train: 0.6, val: 0.2, test: 0.2}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for kind, total in (("crack", 6), ("dent", 4)):
        (tmp_path / "tiles" / kind).mkdir(parents=True)
        for index in range(total):
            Image.new("RGB", (16, 16), (index * 9, 5, 5)).save(
                tmp_path / "tiles" / kind / f"{index}.jpg"
            )
            Image.new("L", (16, 16), 255).save(tmp_path / "tiles" / kind / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_chosen_subset_is_written_and_every_subset_counted(folder, capsys):
    (folder / "params.yaml").write_text(PARAMS.replace("SUBSET", "all"))
    main()
    assert len(read_manifest(folder / "data/prepared")) == 10
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["cracks", "6", "7", "defect"] in printed
    assert ["→", "all", "10", "crack,", "dent"] in printed


def test_an_unknown_subset_lists_those_there_are(folder):
    (folder / "params.yaml").write_text(PARAMS.replace("SUBSET", "rot"))
    with pytest.raises(UserError, match="subset: got 'rot', expected one of cracks, all"):
        main()
    assert not (folder / "data/prepared").exists()
