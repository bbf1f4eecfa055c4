"""How a stage ends: messages and exit codes."""

import errno
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.io.atomic import output_folder
from pipeline.io.errors import StoppedError, UserError, run
from pipeline.io.failures import RefusedError, explain, writing

ROOT = Path(__file__).resolve().parents[2]


class OutOfMemoryError(RuntimeError):
    """As PyTorch's, by name and text."""


class SafetensorError(Exception):
    """As that of safetensors."""


def ending(error, lower=""):
    """Exit code and message of a stage that raises `error`."""

    def main():
        raise error

    with pytest.raises(SystemExit) as caught:
        run(main, lower)
    return caught.value.code


REFUSED = [
    (
        OSError(errno.ENOSPC, "", "/tmp/out/x.png"),
        r"/tmp/out/x\.png: the disk is full \(.* MB free",
    ),
    (OSError(errno.EDQUOT, "", "/x"), "/x: the disk quota is used up"),
    (PermissionError(errno.EACCES, "", "/x"), "/x: no permission; give this user access"),
    (OSError(errno.EROFS, "", "/x"), "/x: the file system is read-only"),
    (OSError(errno.EMFILE, "", "/x"), r"/x: too many open files .* \(ulimit -n\)"),
    # where it was, nobody knows: not in the working folder by any means
    (SafetensorError("I/O error: full (os error 28)"), "what is printed, or .*: the disk is full;"),
    (OSError(errno.ENOSPC, "No space left on device"), "what is printed, or .*: the disk is full;"),
    (MemoryError(), "too little memory .*; lower a.b or c.d, or end other programs"),
    (OutOfMemoryError("CUDA out of memory. Tried 9 GiB\nMore"), r"\(CUDA out of memory\. Tried 9"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), "lower a.b or c.d"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "too little memory"),
]


@pytest.mark.parametrize(("error", "message"), REFUSED)
def test_what_the_system_refuses_is_told_in_one_line(error, message, capsys):
    assert ending(error, "a.b or c.d") == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert re.match(f"error: .*{message}", told), told


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("shape"), OSError("no number")])
def test_a_mistake_of_the_program_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        run(lambda: (_ for _ in ()).throw(error))


def test_writing_tells_what_is_needed(tmp_path):
    with (
        pytest.raises(RefusedError, match=r"x: the disk is full \(7\.0 MB needed, .* MB free\)"),
        writing(tmp_path / "x", 7_000_000),
    ):
        raise OSError(errno.ENOSPC, "no name")
    with pytest.raises(KeyError), writing(tmp_path / "x"):
        raise KeyError


def test_a_folder_tells_what_it_holds_and_what_is_free_without_it(tmp_path):
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    (work / "sub/a").write_bytes(bytes(3_000_000))
    free = shutil.disk_usage(tmp_path).free
    told = r"x: the disk is full \(more than 3\.\d MB needed, ([\d.,]+) MB free\)"
    with pytest.raises(RefusedError, match=told) as caught, writing(tmp_path / "x", folder=work):
        raise OSError(errno.ENOSPC, "no name")
    freed = float(re.search(told, str(caught.value))[1].replace(",", "")) * 1e6 - free
    assert freed > 1e6  # others write on this disk, too


def test_what_is_read_while_a_folder_is_made_names_itself(tmp_path):
    with pytest.raises(PermissionError) as caught, output_folder(tmp_path / "out") as work:
        raise PermissionError(errno.EACCES, "no", str(tmp_path / "photo.png"))
    assert explain(caught.value).startswith(f"{tmp_path / 'photo.png'}: no permission")
    full = pytest.raises(RefusedError, match="out: the disk is full")
    with full, output_folder(tmp_path / "out") as work:
        raise OSError(errno.ENOSPC, "no", str(tmp_path / "copied.png"), None, str(work / "a.png"))
    with (
        pytest.raises(RefusedError, match="out: no permission"),
        output_folder(tmp_path / "out") as work,
    ):
        raise PermissionError(errno.EACCES, "no", str(work / "photo.png"))


def test_output_that_nobody_reads_ends_in_one_message(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from pipeline.io.atomic import output_folder\n"
        "from pipeline.io.errors import run\n"
        "def main():\n"
        "    with output_folder(Path(sys.argv[1])) as folder:\n"
        "        (folder / 'a').touch()\n"
        "        sys.stdin.readline()\n"
        "        print('x' * 100_000, flush=True)\n"
        "run(main)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "out")], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdout.close()
        process.stdin.write("go on\n")
        process.stdin.close()
        told = process.stderr.read()
    assert process.returncode == 1
    assert told.startswith("error: what is printed") and "what reads it has ended" in told
    assert told.count("\n") == 1, told
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_no_fault_of_an_input_and_ends_in_its_message(tmp_path, capsys):
    def main():
        try:
            with writing(tmp_path / "x"):
                raise OSError(errno.ENOSPC, "no name")
        except (OSError, UserError):
            raise AssertionError("taken for an input that cannot be used") from None

    with pytest.raises(SystemExit, match="1"):
        run(main)
    assert f"error: {tmp_path / 'x'}: the disk is full" in capsys.readouterr().err


def test_being_stopped_is_no_error_and_has_the_codes_of_shells(capsys):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        assert ending(StoppedError(number, "step 3 is saved")) == code
        name = signal.Signals(number).name
        assert capsys.readouterr().err == (
            f"stopped by {name}; step 3 is saved, run the same command again to go on\n"
        )


def test_a_stop_passes_through_a_process_pool():
    error = pickle.loads(pickle.dumps(StoppedError(signal.SIGTERM, "all")))  # noqa: S301
    assert str(error).startswith("stopped by SIGTERM; all, run")


SCRIPT = """
import signal, sys
from pathlib import Path
from pipeline.io.atomic import output_folder
from pipeline.io.errors import run
def main():
    with output_folder(Path(sys.argv[1])) as folder:
        print("there", flush=True)
        signal.pause()
run(main)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_process_gives_up_its_temporary_folder(tmp_path, number, code):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "out")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "there\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(number)
        told = process.communicate(timeout=30)[1]
    assert process.returncode == code
    assert told.startswith("stopped by SIG") and "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


# lies where the stage looks for a library, and takes as long as asked
SLOW_LIBRARY = """
import signal
print("importing", flush=True)
try:
    signal.pause()
except BaseException:
    print("caught by a library", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stage_that_is_stopped_in_its_imports_says_so_in_one_line(tmp_path, number, code):
    (tmp_path / "pydantic.py").write_text(SLOW_LIBRARY)
    command = [sys.executable, "-m", "stages.check_parameters"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        output, told = process.communicate(timeout=30)
    name = signal.Signals(number).name
    assert told == (
        f"stopped by {name}; what was finished is kept, run the same command again to go on\n"
    )
    assert (output, process.returncode) == ("", code)


def test_importing_a_stage_leaves_the_signals_to_the_program():
    code = "import signal, stages; print(signal.getsignal(signal.SIGINT).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "default_int_handler\n"


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as nohup does
    try:
        run(lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
