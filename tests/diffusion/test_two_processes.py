"""Two processes on the CPU (gloo) against one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState

from pipeline.training.state import STATE_FILE, read_state

SCRIPT = Path(__file__).with_name("on_two_processes.py")
LONGEST_S = 120  # a process that waits for the other for ever is ended


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    # `accelerate launch --cpu` starts one process where there is no MPI; for GPUs it uses this
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    command = [*launcher, f"--master_port={port}", str(SCRIPT), str(folder)]
    for name in ("train", "train_on_few", "sample", "train_and_be_stopped"):
        (folder / name).mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("DVC_ROOT", "RANK")}
    environment["PYTHONPATH"] = f"{SCRIPT.parent}:{SCRIPT.parents[2]}"
    environment["ACCELERATE_USE_CPU"] = "true"
    done = subprocess.run(
        command, env=environment, timeout=LONGEST_S, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert sorted(path.name for path in folder.glob("rank-*")) == ["rank-0", "rank-1"]
    return folder


@pytest.fixture
def alone(monkeypatch):
    """The script's functions, in this process alone."""
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setenv("DVC_ROOT", "")
    import on_two_processes

    yield on_two_processes
    AcceleratorState._reset_state(reset_partial_state=True)


def test_training_matches_that_of_one_process(by_two, alone, tmp_path):
    one = alone.train(tmp_path)
    two = read_state(by_two / "train" / STATE_FILE)
    for group in ("weights", "average"):
        for name, tensor in getattr(one, group).items():
            other = getattr(two, group)[name]
            torch.testing.assert_close(other, tensor, rtol=1e-3, atol=1e-5, msg=name)
    ours, theirs = (pd.DataFrame(state.record.curve).astype(float) for state in (one, two))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-4)


def test_fewer_pairs_than_a_batch_hang_nobody(by_two):
    state = read_state(by_two / "train_on_few" / STATE_FILE)
    assert state.record.steps_done == 12
    assert all(tensor.isfinite().all() for tensor in state.weights.values())


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_sampling_gives_the_files_of_one_process(by_two, alone, tmp_path):
    alone.sample(tmp_path)
    drawn = contents(tmp_path / "set")
    assert len([name for name in drawn if name.startswith("images/")]) == alone.COUNT
    assert contents(by_two / "sample" / "set") == drawn


def test_both_processes_stop_when_one_is_asked_to(by_two):
    folder = by_two / "train_and_be_stopped"
    for rank in (0, 1):
        told = (folder / f"stopped-{rank}").read_text()
        assert "the state after step 5 of 12 is saved" in told
    assert read_state(folder / STATE_FILE).record.steps_done == 5
