import multiprocessing
import os

import pytest

from pipeline.io.errors import UserError
from pipeline.io.store import FOLDERS_KEPT_PER_STAGE, open_store


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("RANK", raising=False)
    return tmp_path


def test_the_same_key_finds_what_was_left_and_another_does_not():
    with open_store("train", {"steps": 3}) as store:
        (store.path / "state").write_text("step 2")
    with open_store("train", {"steps": 3}) as store:
        assert (store.path / "state").read_text() == "step 2"
    with open_store("train", {"steps": 4}) as store:
        assert list(store.path.iterdir()) == []


def test_a_finished_store_stays_until_another_is_opened():
    with open_store("train", {}) as store:
        (store.path / "folder").mkdir()
        (store.path / "folder" / "file").touch()
        store.finish()
    with open_store("train", {}) as store:  # the output was lost: it is made again from here
        assert (store.path / "folder" / "file").exists()
        with open_store("sample", {}):
            assert store.path.exists()  # being used, it is not finished any more
        store.finish()
        with open_store("sample", {}):
            assert store.path.exists()  # nor is it dropped under its owner
    with open_store("sample", {}):
        assert not store.path.exists()


def _hold(ready, release):
    with open_store("train", {}):
        ready.set()
        release.wait(30)


def test_a_second_process_is_told_which_one_runs():
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(ready, release))
    process.start()
    try:
        assert ready.wait(30)
        with (
            pytest.raises(UserError, match=f"train: already running as process {process.pid}"),
            open_store("train", {}),
        ):
            pass
    finally:
        release.set()
        process.join()


def test_a_further_rank_of_the_same_run_is_let_in(monkeypatch):
    with open_store("train", {}) as first:
        monkeypatch.setenv("RANK", "1")
        with open_store("train", {}) as second:
            assert second.path == first.path


def test_old_folders_are_dropped(root):
    for number in range(FOLDERS_KEPT_PER_STAGE + 3):
        with open_store("sample", {"n": number}) as store:
            (store.path / "png").touch()
            os.utime(store.path, (number, number))
    folders = [p for p in (root / ".checkpoints" / "sample").iterdir() if p.is_dir()]
    assert len(folders) == FOLDERS_KEPT_PER_STAGE
