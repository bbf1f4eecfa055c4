import ctypes
import errno
import json
import os
from types import SimpleNamespace

import pytest

from pipeline.io import atomic
from pipeline.io.atomic import output_folder, sync, write_bytes, write_json
from pipeline.io.failures import RefusedError


def test_an_exception_leaves_the_old_folder_and_nothing_else(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("kept")

    def fail():
        with output_folder(target) as work:
            (work / "new").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (target / "old").read_text() == "kept"


def test_success_replaces_the_folder_whole(tmp_path):
    target = tmp_path / "deep" / "out"
    for content in ("first", "second"):
        with output_folder(target) as work:
            (work / content).write_text(content)
    assert [p.name for p in target.iterdir()] == ["second"]
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_a_hard_link_to_the_old_file_keeps_its_bytes(tmp_path):
    target, cache = tmp_path / "file", tmp_path / "cache"
    write_bytes(target, b"one")
    os.link(target, cache)
    write_bytes(target, b"two")
    assert (target.read_bytes(), cache.read_bytes()) == (b"two", b"one")


def test_json_refuses_what_is_no_json_and_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
    write_json(tmp_path / "x.json", {"loss": 0.5})
    assert json.loads((tmp_path / "x.json").read_text()) == {"loss": 0.5}


def test_within_an_output_folder_files_are_written_at_once(tmp_path, monkeypatch):
    with output_folder(tmp_path / "out") as folder:
        monkeypatch.setattr("pipeline.io.atomic.replacing", None)  # would be called otherwise
        original = tmp_path / "kept"
        original.write_bytes(b"kept")
        (folder / "link").hardlink_to(original)
        write_bytes(folder / "below" / "new", b"new")
        write_bytes(folder / "link", b"changed")
    assert (tmp_path / "out" / "below" / "new").read_bytes() == b"new"
    assert (tmp_path / "out" / "link").read_bytes() == b"changed"
    assert original.read_bytes() == b"kept"


def test_a_file_system_that_cannot_sync_is_no_failure_but_a_broken_disk_is(tmp_path, monkeypatch):
    codes, closed, close = iter([errno.EINVAL, errno.ENOTSUP, errno.EIO]), [], os.close

    def fsync(descriptor):
        raise OSError(next(codes), "no")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "close", lambda number: closed.append(number) or close(number))
    sync(tmp_path)
    sync(tmp_path)
    with pytest.raises(OSError, match="no") as caught:
        sync(tmp_path)
    assert caught.value.errno == errno.EIO
    assert len(closed) == 3


@pytest.fixture
def synced(monkeypatch):
    """How often a single file or folder was synced; from two files on the whole file system is."""
    numbers, plain = [], os.fsync
    monkeypatch.setattr(atomic, "_MANY_FILES", 2)
    monkeypatch.setattr(os, "fsync", lambda number: numbers.append(number) or plain(number))
    return numbers


def write_two_files(target):
    with output_folder(target) as work:
        for name in ("one", "two"):
            (work / name).write_text(name)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "syncfs"), reason="Linux alone has syncfs")
def test_many_files_are_synced_with_their_file_system(tmp_path, synced):
    write_two_files(tmp_path / "out")
    assert len(synced) == 1  # the folder above
    with output_folder(tmp_path / "few") as work:
        (work / "one").write_text("one")
    assert len(synced) == 1 + 3  # the file, its folder, the folder above


@pytest.mark.parametrize("library", [SimpleNamespace(), SimpleNamespace(syncfs=lambda number: -1)])
def test_where_a_file_system_cannot_be_synced_each_file_is(tmp_path, synced, monkeypatch, library):
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: library)
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.ENOSYS)
    write_two_files(tmp_path / "out")
    assert len(synced) == 4


def test_a_disk_that_breaks_while_all_is_synced_leaves_nothing(tmp_path, synced, monkeypatch):
    broken = SimpleNamespace(syncfs=lambda number: -1)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: broken)
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EIO)
    with pytest.raises(RefusedError, match="the disk failed to read or write"):
        write_two_files(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
