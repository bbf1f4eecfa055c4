"""The process of a stage: nothing that it owes anybody is left out at its end."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.io import lifetime

ROOT = Path(__file__).resolve().parents[2]
BEGINNING = """
    import atexit, gc, os, sys, threading, time
    from pipeline.io import lifetime
    from pipeline.io.errors import UserError, run
    lifetime.begin()
    class Kept:
        def __del__(self):
            print("taken apart")
    kept = Kept()
    atexit.register(print, "atexit")
"""


def ended(code: str, **streams) -> subprocess.CompletedProcess:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BEGINNING + code)],
        text=True,
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"},
        check=False,
        **(pipes | streams),
    )


def test_threads_and_exit_functions_come_before_the_end_and_nothing_after() -> None:
    process = ended("""
    def slow():
        time.sleep(0.2)
        sys.stdout.write("thread, ")  # not flushed
    def main():
        print(gc.isenabled(), gc.get_freeze_count() > 0)
        threading.Thread(target=slow).start()
    run(main)
    print("not reached")
    """)
    assert process.returncode == 0
    assert process.stdout == "True True\nthread, atexit\n"


def test_a_user_s_mistake_ends_the_same_way_with_its_code() -> None:
    process = ended("""
    def main():
        raise UserError("got 1, expected 2")
    run(main)
    """)
    assert (process.returncode, process.stdout) == (1, "atexit\n")
    assert process.stderr == "error: got 1, expected 2\n"


def test_a_mistake_of_the_program_keeps_its_traceback_and_the_ordinary_end() -> None:
    process = ended("""
    def main():
        raise KeyError("x")
    run(main)
    """)
    assert process.returncode == 1
    assert "KeyError: 'x'" in process.stderr
    assert process.stdout.startswith("atexit\n")


SILENT = """
    def main():
        print("said")
    run(main)
"""


@pytest.mark.parametrize("descriptors", [(1,), (2,), (1, 2)])
def test_streams_that_are_closed_from_the_start_fail_nobody(descriptors) -> None:
    process = ended(SILENT, preexec_fn=lambda: [os.close(number) for number in descriptors])
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == ("" if 1 in descriptors else "said\natexit\n")


def test_what_could_not_be_told_is_no_success() -> None:
    """The log's disk is full, or nobody reads the pipe any more."""
    with Path("/dev/full").open("w") as full:
        process = ended(SILENT, stdout=full)
    assert process.returncode == lifetime.UNTOLD
    assert process.stderr == "error: <stdout>: [Errno 28] No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    process = ended(SILENT, stdout=writer)
    os.close(writer)
    assert process.returncode == lifetime.UNTOLD
    assert process.stderr == "error: <stdout>: [Errno 32] Broken pipe\n"


def test_what_is_held_is_given_up_before_the_end(tmp_path) -> None:
    """Locks, temporary folders and files that are still open when the work ends."""
    process = ended(f"""
    import multiprocessing, tempfile
    from concurrent.futures import ProcessPoolExecutor
    from pathlib import Path
    from pipeline.io.atomic import output_folder, write_text
    from pipeline.io.store import open_store
    root = Path({str(tmp_path)!r})
    def main():
        lasting = tempfile.TemporaryDirectory(dir=root)  # nobody cleans up
        globals().update(lasting=lasting)
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        assert pool.submit(abs, -3).result() == 3  # nobody shuts it down
        globals().update(pool=pool)
        os.environ["DVC_ROOT"] = str(root)
        with open_store("stage", {{}}) as store, output_folder(root / "out") as out:
            write_text(out / "file", "whole")
            store.finish()
    run(main)
    """)
    assert (process.returncode, process.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".checkpoints", "out"]
    assert (tmp_path / "out/file").read_text() == "whole"
    [lock] = (tmp_path / ".checkpoints/stage").glob("*.lock")
    with FileLock(lock).acquire(timeout=0):
        pass
