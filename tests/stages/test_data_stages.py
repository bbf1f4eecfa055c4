"""The stages that make the data sets, run as DVC runs them but in a folder of their own."""

import json
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.params import read_params
from stages import download_lemons, render_demo

ROOT = Path(__file__).parents[2]


def write_params(folder: str, key: str, **changes) -> None:
    params = read_params(ROOT / folder / "params.yaml")
    params[key] |= changes
    Path(folder).mkdir(parents=True, exist_ok=True)
    with Path(folder, "params.yaml").open("w") as file:
        YAML().dump(params, file)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def test_what_render_demo_makes_can_be_packed_and_taken_as_the_archive(capsys):
    write_params("data/demo", "demo", fruits=1, views=2, size_px=64)
    render_demo.main()
    assert "2 photos of 1 fruits" in capsys.readouterr().out
    with zipfile.ZipFile("packed.zip", "w") as zipped:
        for path in Path("data/demo").rglob("*.jp*g"):
            zipped.write(path, f"lemon-dataset/images/{path.name}")
        labels = "annotations/instances_default.json"
        zipped.write(f"data/demo/{labels}", f"lemon-dataset/{labels}")

    write_params("data/lemons", "lemons", url="packed.zip")
    download_lemons.main()
    digest = sha256_of(Path("packed.zip"))
    assert digest in capsys.readouterr().out
    record = json.loads(Path("data/lemons/archive.json").read_text())
    assert record["sha256"] == digest and record["photos"] == 2
    assert record["size_bytes"] == Path("packed.zip").stat().st_size
    for path in ("images", "annotations"):
        demo, lemons = Path("data/demo", path), Path("data/lemons", path)
        assert {p.name: p.read_bytes() for p in demo.iterdir()} == {
            p.name: p.read_bytes() for p in lemons.iterdir()
        }


def test_a_failed_download_leaves_what_was_there():
    write_params("data/lemons", "lemons", url="absent.zip")
    Path("data/lemons/images").mkdir()
    Path("data/lemons/images/kept.jpg").write_text("kept")
    with pytest.raises(UserError, match=r"lemons\.url: absent\.zip is no file"):
        download_lemons.main()
    assert Path("data/lemons/images/kept.jpg").exists()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"fruits": 0}, r"demo\.fruits: got 0"),
        ({"size_px": 12.5}, r"demo\.size_px: got 12\.5"),
        ({"fruit": 3}, r"demo\.fruit: unknown parameter"),
    ],
)
def test_wrong_demo_parameters_are_named(changes, match):
    write_params("data/demo", "demo", **changes)
    with pytest.raises(UserError, match=match):
        render_demo.main()
