import os

from pipeline.io.cores import total_cores


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert total_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS
    assert total_cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert total_cores() == 1
