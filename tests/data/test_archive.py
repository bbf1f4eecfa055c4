"""Unpacking archives, honest and hostile."""

import json
import random
import stat
import zipfile
from pathlib import Path

import pytest

from pipeline.data.archive import UnpackSettings, unpack_coco
from pipeline.io.errors import UserError

LIMITS = UnpackSettings(total_bytes=5_000_000, file_bytes=4_000_000, ratio=100.0, files=20)
ANNOTATIONS = json.dumps({"images": [{"id": 1, "file_name": "images/0001_A.jpg"}]})
GOOD = {"annotations/instances_default.json": ANNOTATIONS, "images/0001_A.jpg": b"photo"}


def make_zip(path: Path, files: dict, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name if isinstance(name, zipfile.ZipInfo) else prefix + name, content)
    return path


def unpack(archive: Path, tmp_path: Path, limits: UnpackSettings = LIMITS) -> int:
    for name in ("images", "annotations"):
        (tmp_path / "out" / name).mkdir(parents=True, exist_ok=True)
    return unpack_coco(archive, tmp_path / "out/images", tmp_path / "out/annotations", limits)


def written(tmp_path: Path) -> list[str]:
    everything = (tmp_path / "out").rglob("*")
    return sorted(str(p.relative_to(tmp_path / "out")) for p in everything if p.is_file())


@pytest.mark.parametrize("prefix", ["", "lemon-dataset/", "a/b/"])
def test_the_data_set_is_found_wherever_it_lies(tmp_path, prefix):
    archive = make_zip(tmp_path / "a.zip", GOOD | {"README.md": "x"}, prefix)
    assert unpack(archive, tmp_path) == 1
    assert written(tmp_path) == ["annotations/instances_default.json", "images/0001_A.jpg"]
    assert (tmp_path / "out/images/0001_A.jpg").read_bytes() == b"photo"


def test_a_zip_within_the_zip_is_opened(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", GOOD, "lemons/")
    outer = make_zip(tmp_path / "outer.zip", {"data/lemons.zip": inner.read_bytes()})
    assert unpack(outer, tmp_path) == 1
    assert written(tmp_path) == ["annotations/instances_default.json", "images/0001_A.jpg"]


def test_a_zip_within_a_zip_within_a_zip_is_not(tmp_path):
    first = make_zip(tmp_path / "1.zip", GOOD)
    second = make_zip(tmp_path / "2.zip", {"1.zip": first.read_bytes()})
    third = make_zip(tmp_path / "3.zip", {"2.zip": second.read_bytes()})
    with pytest.raises(UserError, match=r"neither it nor 2\.zip"):
        unpack(third, tmp_path)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "images/../../evil", "..\\evil", "C:evil", "images/\0../x"]
)
def test_paths_that_lead_out_refuse_the_whole_archive(tmp_path, name):
    archive = make_zip(tmp_path / "a.zip", GOOD | {zipfile.ZipInfo("images/_" + "x" * 30): "evil"})
    hidden = archive.read_bytes().replace(
        ("images/_" + "x" * 30).encode(), name.encode().ljust(38, b"y")
    )
    archive.write_bytes(hidden)
    with pytest.raises(UserError, match="leads out of the folder"):
        unpack(archive, tmp_path)
    assert written(tmp_path) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    entry = zipfile.ZipInfo("images/link")
    entry.external_attr = (kind | 0o777) << 16
    archive = make_zip(tmp_path / "a.zip", GOOD | {entry: "/etc/passwd"})
    with pytest.raises(UserError, match="link or device"):
        unpack(archive, tmp_path)
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({}, r"unpacks to \d+ times its size, lemons.unpack.ratio allows 100"),
        ({"ratio": 1e6, "file_bytes": 2_000_000}, "lemons.unpack.file_bytes allows 2000000"),
        ({"ratio": 1e6, "total_bytes": 3_000_000}, "lemons.unpack.total_bytes allows 3000000"),
        ({"files": 2}, "3 entries, lemons.unpack.files allows 2"),
    ],
)
def test_bombs_are_refused_before_anything_is_written(tmp_path, changes, match):
    archive = make_zip(tmp_path / "a.zip", GOOD | {"images/bomb.jpg": bytes(3_500_000)})
    with pytest.raises(UserError, match=match):
        unpack(archive, tmp_path, LIMITS.model_copy(update=changes))
    assert written(tmp_path) == []


def test_a_bomb_that_lies_about_its_size_never_outgrows_what_it_declared(tmp_path):
    archive = make_zip(tmp_path / "a.zip", GOOD | {"images/bomb.jpg": bytes(3_500_000)})
    true_size, said = (3_500_000).to_bytes(4, "little"), (9).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(true_size, said))
    with pytest.raises(UserError, match=r"bomb\.jpg': cannot be unpacked: Bad CRC-32"):
        unpack(archive, tmp_path)
    bomb = tmp_path / "out/images/bomb.jpg"
    assert not bomb.exists() or bomb.stat().st_size <= 9


def test_the_inner_archives_entries_are_checked_too(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", GOOD | {"../evil": "x"})
    outer = make_zip(tmp_path / "outer.zip", {"lemons.zip": inner.read_bytes()})
    with pytest.raises(UserError, match="leads out of the folder"):
        unpack(outer, tmp_path)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"readme.txt": "x"}, "holds no annotations/instances_default.json; it holds readme.txt"),
        ({"a/" + k: v for k, v in GOOD.items()} | GOOD, "holds 2 files annotations/"),
        ({"annotations/instances_default.json": ANNOTATIONS}, "1 of 1 photos .* 0001_A.jpg"),
        ({"annotations/instances_default.json": "[]", "images/x.jpg": "x"}, "is no COCO file"),
    ],
)
def test_archives_without_one_whole_data_set_are_named(tmp_path, files, match):
    with pytest.raises(UserError, match=match):
        unpack(make_zip(tmp_path / "a.zip", files), tmp_path)


def test_what_is_no_zip_or_a_torn_one_is_named(tmp_path):
    page = tmp_path / "page.zip"
    page.write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"<html>not found.* cannot be unpacked: File is not a zip"):
        unpack(page, tmp_path)
    whole = make_zip(tmp_path / "a.zip", GOOD).read_bytes()
    page.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"page\.zip.*: cannot be unpacked: File is not a zip"):
        unpack(page, tmp_path)


@pytest.mark.parametrize("method", ["STORED", "DEFLATED", "BZIP2", "LZMA"])
def test_damaged_bytes_are_named_and_never_lead_out(tmp_path, method):
    intact = tmp_path / "intact.zip"
    with zipfile.ZipFile(intact, "w", getattr(zipfile, f"ZIP_{method}")) as zipped:
        for name, content in GOOD.items():
            zipped.writestr(name, content)
    whole, rng = intact.read_bytes(), random.Random(method)
    damaged, told = tmp_path / "damaged.zip", []
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(3):
            content[rng.randrange(len(content))] = rng.randrange(256)
        damaged.write_bytes(content)
        try:
            unpack(damaged, tmp_path)
        except UserError as error:
            told.append(str(error))
    assert len(told) > 20 and all("damaged.zip" in message for message in told)
    assert {path.name for path in tmp_path.iterdir()} == {"intact.zip", "damaged.zip", "out"}


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"images/a": "x", "images/a/b.jpg": "x"}, "'images/a' is a file and a folder at once"),
        ({f"images/{'é' * 200}.jpg": "x"}, "has too long a name"),
        ({"annotations/instances_default.json": "[" * 100_000}, "is no COCO file: RecursionError"),
    ],
)
def test_what_no_file_system_or_parser_takes_is_refused(tmp_path, files, match):
    with pytest.raises(UserError, match=match):
        unpack(make_zip(tmp_path / "a.zip", GOOD | files), tmp_path)
