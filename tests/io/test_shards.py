import tarfile

import pytest

from pipeline.io.errors import UserError
from pipeline.io.shards import read_bytes, unpacked_name, write_shard

FILES = [
    ("a.image.png", b"photo"),
    ("a.mask.png", b"m" * 1000),
    ("b.image.png", b""),
    ("b.mask.png", b"q" * 512),
]


@pytest.fixture
def shard(tmp_path):
    write_shard(tmp_path / "shards/s.tar", FILES)
    return tmp_path / "shards/s.tar"


def test_files_are_read_one_by_one_and_by_tar(shard):
    for name, content in reversed(FILES):
        assert read_bytes(shard / name) == content
    with tarfile.open(shard) as archive:
        found = [(item.name, archive.extractfile(item).read()) for item in archive]
        assert {(item.mtime, item.uid, item.uname) for item in archive} == {(0, 0, "")}
    assert found == FILES


def test_other_files_are_read_as_ever(tmp_path):
    (tmp_path / "a").write_bytes(b"alone")
    assert read_bytes(tmp_path / "a") == b"alone"
    for path in ("b", "shards/none.tar/a.png"):
        with pytest.raises(UserError, match="not found"):
            read_bytes(tmp_path / path)


def test_the_same_files_give_the_same_bytes(shard, tmp_path):
    write_shard(tmp_path / "again.tar", iter(FILES))
    assert (tmp_path / "again.tar").read_bytes() == shard.read_bytes()


def test_a_replaced_shard_is_read_anew(shard):
    assert read_bytes(shard / "a.image.png") == b"photo"
    write_shard(shard, [("b.image.png", b"x"), ("a.image.png", b"other")])
    assert read_bytes(shard / "a.image.png") == b"other"
    with pytest.raises(UserError, match=r"s\.tar/a\.mask\.png: not found in the shard"):
        read_bytes(shard / "a.mask.png")


def test_a_torn_shard_is_told_wherever_it_was_cut(shard):
    whole = shard.read_bytes()
    end = 512 * (1 + 1 + 1 + 2 + 1 + 1 + 1)  # headers, and contents in blocks
    for size in range(0, end + 512, 64):
        shard.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"s\.tar: damaged at byte \d+; run the stage that"):
            read_bytes(shard / "a.image.png")
    shard.write_bytes(whole[: end + 512])
    assert read_bytes(shard / "a.image.png") == b"photo"


@pytest.mark.parametrize(("place", "content"), [(0, b"\xff"), (124, b"size")])
def test_a_header_that_is_none_is_told(shard, place, content):
    whole = bytearray(shard.read_bytes())
    whole[place : place + len(content)] = content
    shard.write_bytes(whole)
    with pytest.raises(UserError, match=r"s\.tar: damaged at byte 0; run the stage that"):
        read_bytes(shard / "a.image.png")


def test_a_failed_write_leaves_nothing(tmp_path, shard):
    before = shard.read_bytes()

    def break_off():
        yield FILES[0]
        raise UserError("torn")

    with pytest.raises(UserError, match="torn"):
        write_shard(shard, break_off())
    assert shard.read_bytes() == before
    assert [path.name for path in shard.parent.iterdir()] == ["s.tar"]


def test_names_once_unpacked():
    assert unpacked_name("shards/synthetic-000000.tar/a.image.png") == "a.image.png"
    assert unpacked_name("images/a.png") == "images/a.png"
