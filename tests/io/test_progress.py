import pipeline.io.progress as module
from pipeline.io.progress import progress


def test_without_a_terminal_a_line_a_minute_and_one_at_the_end(capsys, monkeypatch):
    clock = iter([0.0, 10.0, 61.0, 65.0, 70.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with progress(100, "sampling") as bar:
        bar.update(10)  # 10 s: silent
        bar.update(51)  # 61 s: a line
        bar.note(loss=0.25)
        bar.update(4)  # 65 s: silent
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "sampling: 61/100, 1/s, 39 s left",
        "sampling: 65/100, 0.929/s, 38 s left loss 0.25",
    ]


def test_resumed_work_does_not_count_towards_the_rate(capsys, monkeypatch):
    clock = iter([0.0, 100.0, 100.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with progress(100, "training", initial=50) as bar:
        bar.update(10)
    assert "60/100, 0.1/s, 400 s left" in capsys.readouterr().out
