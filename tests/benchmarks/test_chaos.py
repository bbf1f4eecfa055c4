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
    # once the work is done, a stop signal ends Python as it would end any program
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


def test_each_step_is_dealt_a_kill_and_the_rest_go_to_those_that_resume():
    steps = [Step(name, [], []) for name in "abc"]
    unbroken = {
        name: Attempt(0, 9.0, work, None if work is None else 1.0, None, "")
        for name, work in (("a", None), ("b", 8.0), ("c", 8.0))
    }
    dealt = kills.deal(steps, unbroken, 9, np.random.default_rng(0))
    assert dealt == {"a": 1, "b": 4, "c": 4}


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
    assert names[:2] == ["check-parameters", "render-demo"] and names[-1] == "report"
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
