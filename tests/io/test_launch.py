import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from pipeline.io.launch import use_all_gpus

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def started(monkeypatch):
    calls = []
    monkeypatch.setattr(os, "execv", lambda program, words: calls.append(words))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(sys, "argv", ["sample", "more"])
    return calls


@pytest.mark.parametrize("gpus", [0, 1])
def test_one_gpu_or_none_needs_no_launcher(started, monkeypatch, gpus):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    use_all_gpus("stages.sample")
    assert started == []


def test_several_gpus_start_the_stage_once_more(started, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    use_all_gpus("stages.sample")
    assert [words[1:] for words in started] == [
        ["-m", "pipeline.io.launch", "-m", "stages.sample", "more"]
    ]
    monkeypatch.setenv("LOCAL_RANK", "0")
    use_all_gpus("stages.sample")
    assert len(started) == 1


# In place of accelerate's choice by the GPUs that it sees: two processes that PyTorch starts on
# the CPU, as accelerate has it do on several GPUs.
LAUNCHER = """
import sys
import torch.distributed.run as torchrun
from accelerate.commands import launch
from pipeline.io.launch import main
launch.main = lambda: torchrun.main(["--nproc_per_node=2", "--standalone", sys.argv[1]])
main()
"""
STAGE = """
import signal, time
from pathlib import Path
from pipeline.io.errors import UserError, run
def main():
    Path("rank-" + __import__("os").environ["RANK"]).touch()
    {}
run(main)
"""


def launched(folder: Path, work: str) -> subprocess.Popen:
    (folder / "stage.py").write_text(STAGE.format(textwrap.dedent(work)))
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, "stage.py"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def test_a_users_mistake_is_told_without_the_launchers_traceback(tmp_path):
    with launched(tmp_path, 'raise UserError("no such thing")') as process:
        told = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "error: no such thing\n" in told and "Traceback" not in told


@pytest.mark.parametrize("to_all", [True, False])
def test_a_stop_signal_ends_launcher_and_processes_with_its_code(tmp_path, to_all):
    """As Ctrl-C reaches all of them, and a scheduler's notice the launcher alone."""
    with launched(tmp_path, "time.sleep(120)") as process:
        ends = time.monotonic() + 120
        while len(list(tmp_path.glob("rank-*"))) < 2:
            assert process.poll() is None and time.monotonic() < ends
            time.sleep(0.05)
        if to_all:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == (130 if to_all else 143), told
    assert "stopped by SIG" in told and "Traceback" not in told
