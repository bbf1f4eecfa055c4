"""The process of a stage: nothing that it owes anybody is left out at its end."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BEGINNING = """
    import atexit, gc, sys, threading, time
    from pipeline.io import lifetime
    from pipeline.io.errors import UserError, run
    lifetime.begin()
    class Kept:
        def __del__(self):
            print("taken apart")
    kept = Kept()
    atexit.register(print, "atexit")
"""


def ended(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BEGINNING + code)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
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
