"""What a killed process leaves beside its target, and who may remove it."""

import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

import pytest

from pipeline.io import leftovers
from pipeline.io.atomic import output_folder, replacing, write_bytes

CONTEXT = multiprocessing.get_context("fork")


def killed_while(action, *arguments):
    """Run `action` in a process of its own until it says that it is there, then kill it."""
    ready = CONTEXT.Event()
    process = CONTEXT.Process(target=action, args=(*arguments, ready))
    process.start()
    assert ready.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def write_for_ever(path, ready):
    with replacing(path) as temporary:
        temporary.write_bytes(b"half")
        ready.set()
        signal.pause()


def fill_for_ever(path, ready):
    with output_folder(path) as folder:
        (folder / "file").write_bytes(b"half")
        ready.set()
        signal.pause()


def replace_for_ever(path, ready):
    """Stops between the two renames."""
    plain = os.replace

    def once(source, target):
        plain(source, target)
        ready.set()
        signal.pause()

    os.replace = once
    with output_folder(path) as folder:
        (folder / "new").touch()


def names(folder):
    return sorted(item.name for item in folder.iterdir())


@pytest.fixture(autouse=True)
def _nothing_swept(monkeypatch):
    monkeypatch.setattr(leftovers, "_swept", set())


def test_a_killed_writing_leaves_a_file_that_the_next_one_removes(tmp_path):
    killed_while(write_for_ever, tmp_path / "one")
    assert len(names(tmp_path)) == 1
    write_bytes(tmp_path / "other", b"whole")
    assert names(tmp_path) == ["other"]


def test_what_is_still_written_to_is_left_alone(tmp_path):
    with replacing(tmp_path / "one") as file, output_folder(tmp_path / "two") as folder:
        for action in (leftovers.sweep_files, leftovers.sweep_folders):
            process = CONTEXT.Process(target=action, args=(tmp_path / "two",))
            process.start()
            process.join()
        assert file.exists() and folder.exists()
    assert names(tmp_path) == ["one", "two"]


def test_what_is_swept_away_before_it_is_locked_is_made_once_more(tmp_path, monkeypatch):
    made = []
    really_make = tempfile.mkstemp

    def make_and_lose_the_first(**options):
        descriptor, name = really_make(**options)
        made.append(name)
        if len(made) == 1:
            Path(name).unlink()
        return descriptor, name

    monkeypatch.setattr(tempfile, "mkstemp", make_and_lose_the_first)
    write_bytes(tmp_path / "file", b"whole")
    assert len(made) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_killed_output_leaves_a_folder_that_the_next_one_removes(tmp_path):
    killed_while(fill_for_ever, tmp_path / "out")
    assert len(names(tmp_path)) == 1
    killed_while(fill_for_ever, tmp_path / "out.more")
    with output_folder(tmp_path / "out.more"):  # no business of the other
        pass
    assert len(names(tmp_path)) == 2
    with output_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == ["out", "out.more"]


def test_half_an_output_is_not_put_in_its_place(tmp_path):
    killed_while(fill_for_ever, tmp_path / "file")  # which holds something of its own name
    leftovers.sweep_folders(tmp_path / "file")
    assert names(tmp_path) == []


def test_a_replacement_killed_half_way_is_undone(tmp_path):
    out = tmp_path / "out"
    with output_folder(out) as folder:
        (folder / "old").touch()
    killed_while(replace_for_ever, out)
    assert not out.exists()
    with output_folder(out):
        assert names(out) == ["old"]
    assert names(tmp_path) == ["out"]
    assert names(out) == []
