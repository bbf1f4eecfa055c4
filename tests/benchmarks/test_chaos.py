"""The machinery that breaks stages, on a stage of a few lines."""

import signal
import sys

import numpy as np
import pytest

from benchmarks.chaos import kills
from benchmarks.chaos.attempts import Attempt, Blow, run_attempt
from benchmarks.chaos.small_disk import SIZE_BYTES, _fill, _small_disk
from benchmarks.chaos.workplace import ROOT, Step, Workplace, read_steps
from pipeline.io.errors import UserError

# counts to ten in a store, a file each, and goes on where it was killed
STAGE = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from pipeline.io.atomic import output_folder, write_text
from pipeline.io.errors import run
from pipeline.io.store import open_store
def main():
    with open_store("count", {{}}) as store:
        for number in range(10):
            path = store.path / "facts" / f"{{number}}.json"
            if not path.exists() or path.read_text() != str(number):
                time.sleep(0.02)
                write_text(path, str(number))
        with output_folder(Path("data/out")) as folder:
            write_text(folder / "sum", str(sum(range(10))))
run(main)
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "count.py").write_text(STAGE.format(root=str(ROOT)))
    return Workplace(tmp_path, tmp_path)


STEP = Step("count", [sys.executable, "count.py"], ["data/out"])


def test_a_step_is_killed_as_often_as_asked_and_ends_in_the_same_bytes(place):
    unbroken = kills.run_unbroken(place, [STEP])
    expected = place.hashes([STEP])
    assert list(expected) == ["data/out/sum"]
    assert unbroken["count"].work_s > 0.1
    (place.folder / ".checkpoints").rename(place.folder / "before")
    [story] = kills.run_killed(place, [STEP], unbroken, total=4, seed=0)
    assert len(story.kills) == 4
    assert story.ends >= 1
    # before and after its work, a stop signal ends Python as it would end any program
    assert {kill.exit_code for kill in story.kills if kill.in_work} <= {-9, 143, 130, -15, -2}
    assert place.hashes([STEP]) == expected
    assert place.leftovers() == []


def test_a_step_that_fails_by_itself_is_no_kill(place):
    step = Step("broken", [sys.executable, "-c", "raise KeyError"], [])
    with pytest.raises(UserError, match=r"broken: failed by itself[\s\S]*KeyError"):
        kills.run_unbroken(place, [step])


def test_a_blow_falls_in_the_work(place):
    attempt = run_attempt(STEP.command, place, Blow(signal.SIGKILL, 0.05, in_work=True))
    assert attempt.was_stopped and attempt.code == -9
    assert attempt.struck_s >= attempt.began_after_s + 0.05
    assert 0 < len(kills.kept_files(place.store, "count")) < 10


def dealt(total, **work_s):
    """Numbers of SIGKILLs and of requests by the name of the step."""
    steps = [Step(name, [], []) for name in work_s]
    unbroken = {
        name: Attempt(0, 99.0, work, None if work is None else 1.0, None, "")
        for name, work in work_s.items()
    }
    by_step = kills.deal(steps, unbroken, total, np.random.default_rng(0))
    hard = {name: signals.count(signal.SIGKILL) for name, signals in by_step.items()}
    return {name: (hard[name], len(by_step[name]) - hard[name]) for name in work_s}


def test_each_step_is_dealt_a_kill_and_those_that_resume_one_of_both_kinds():
    counts = dealt(8, quick=None, short=2.0, long=30.0, longest=60.0)
    assert sum(counts["quick"]) == 1
    assert sum(sum(pair) for pair in counts.values()) == 8
    for name in ("short", "long", "longest"):
        assert min(counts[name]) >= 1, name


def test_too_few_kills_for_all_go_to_the_longest():
    counts = dealt(5, quick=None, short=2.0, long=30.0)
    assert {name: sum(pair) for name, pair in counts.items()} == {"quick": 1, "short": 2, "long": 2}
    counts = dealt(4, quick=None, short=2.0, long=30.0)
    assert {name: sum(pair) for name, pair in counts.items()} == {"quick": 1, "short": 1, "long": 2}


def test_what_is_left_falls_by_how_long_a_step_works():
    """1,000 left: 250 and 750 expected, with a deviation of √(1000 · 1/4 · 3/4) = 14."""
    counts = dealt(1004, short=10.0, long=30.0)
    assert sum(counts["long"]) - 2 == pytest.approx(750, abs=4 * 14)
    for hard, asked in counts.values():
        assert abs(hard - asked) <= 1


def test_a_blow_that_came_too_late_is_repeated_earlier():
    """Of 40 s of work half is left: drawn from the first 20 s, then from the first 10 s, …"""
    unbroken = Attempt(0, 50.0, 40.0, 10.0, None, "")
    rng = np.random.default_rng(0)
    for misses in range(4):
        drawn = [
            kills.draw_blow(signal.SIGKILL, unbroken, 0.5, 0.5**misses, rng) for _ in range(200)
        ]
        in_work = [blow.after_s for blow in drawn if blow.in_work]
        others = [blow.after_s for blow in drawn if not blow.in_work]
        assert 0.8 < max(in_work) / (20 * 0.5**misses) < 1
        assert 0.8 < max(others) / (50 * 0.5**misses) < 1
        assert len(in_work) == pytest.approx(160, abs=4 * 6)  # √(200 · 0.8 · 0.2) = 5.7


def test_a_step_faster_than_it_was_is_hit_all_the_same(place):
    """Measured as longer than it is, so that most first blows come too late."""
    slow = Attempt(0, 3.0, None, None, None, "")
    rng = np.random.default_rng(1)
    story = kills._tell_story(place, STEP, slow, [signal.SIGKILL, signal.SIGTERM], rng)
    assert [kill.signal for kill in story.kills] == ["SIGKILL", "SIGTERM"]
    assert [kill.exit_code for kill in story.kills] in ([-9, 143], [-9, -15])
    assert story.ends >= 2  # a blow missed, and the last run
    assert (place.folder / "data/out/sum").read_text() == "45"


def test_tearing_shortens_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    told = kills.tear(path, np.random.default_rng(0))
    left = path.read_bytes()
    assert len(left) < 10 and b"0123456789".startswith(left)
    assert told == f"file {len(left)}/10"


def test_steps_are_those_of_the_pipeline_in_order():
    steps = read_steps(ROOT)
    names = [step.name for step in steps]
    assert names[:3] == ["trace-code", "check-parameters", "render-demo"]
    assert names[-1] == "report"
    assert names.index("train-image-dm") < names.index("finetune-image-dm") < names.index("sample")
    segmenters = [step for step in steps if step.stage == "train-segmenters"]
    assert len(segmenters) > 3 and all("${" not in " ".join(s.command) for s in segmenters)
    assert len({step.outs[0] for step in segmenters}) == len(segmenters)


def test_a_small_disk_is_filled_but_for_a_rest(tmp_path):
    disk = tmp_path / "disk"
    try:
        with _small_disk(disk):
            _fill(disk, 8192)
            (disk / "fits").write_bytes(b"x" * 8192)
            with pytest.raises(OSError, match="No space left"):
                (disk / "more").write_bytes(b"x")
            assert (disk / "filler").stat().st_size == SIZE_BYTES - 8192
    except UserError:
        pytest.skip("only root may mount a tmpfs")
