import os
import sys

import pytest
import torch

from pipeline.io.launch import use_all_gpus


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
        ["-m", "accelerate.commands.launch", "-m", "stages.sample", "more"]
    ]
    monkeypatch.setenv("LOCAL_RANK", "0")
    use_all_gpus("stages.sample")
    assert len(started) == 1
