"""The curve and the state file of a training."""

import json
import math
import os
import signal
from dataclasses import replace

import pytest
import torch

from pipeline.io.errors import StoppedError, UserError
from pipeline.training.loop import run_steps
from pipeline.training.record import Record, write_curve
from pipeline.training.sealed import DamagedError, write_sealed
from pipeline.training.state import STATE_FILE, TrainingState, read_start, read_state

LOSS_PARTS = ["loss_simple", "loss_vb"]


def test_state_refuses_a_file_of_another_kind(tmp_path):
    path = tmp_path / STATE_FILE
    with pytest.raises(UserError, match="not found; run the stage that trains"):
        read_start(path)
    path.write_bytes(b"no safetensors")
    with pytest.raises(UserError, match=r"damaged.*; run the stage that trains this model again"):
        read_start(path)
    write_sealed(path, {}, {"whole": "but no training"})
    with pytest.raises(DamagedError, match="not the state of a training"):
        read_state(path)


def test_record_survives_json_exactly():
    record = Record(parts=LOSS_PARTS)
    for loss in (0.1, 1 / 3, 2e-17):
        record.add_losses(loss, loss, 0.0)
    record.is_best("train_loss", record.close_epoch())
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_record_names_its_terms(tmp_path):
    record = Record(parts=["reconstruction"])
    record.add_losses(0.5, 0.25)
    record.close_window(epoch=1, measured={}, learning_rate=0.1)
    write_curve(tmp_path, record)
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert lines == ["step,epoch,loss,reconstruction,val_loss,lr", "1,1,0.5,0.25,,0.1"]
    with pytest.raises(ValueError, match="got 2 terms"):
        record.add_losses(0.5, 0.25, 0.1)


def counting(record, at=math.inf):
    """A training whose only weight counts its steps; fails before step `at`."""
    weight = torch.zeros(1)

    def take_step(step):
        if step == at:
            raise KeyError(step)
        weight.add_(step)
        record.add_losses(float(step))
        return float(step)

    def state():
        return TrainingState({"w": weight}, {}, {}, {}, 0, None, record)

    return take_step, lambda: None, state


def test_loop_writes_each_state_and_takes_only_what_is_left(tmp_path):
    path = tmp_path / STATE_FILE
    record = Record()
    with pytest.raises(KeyError):
        run_steps(*counting(record, at=3), record, 5, path, checkpoint_every_s=0)
    saved = read_state(path)
    assert (saved.record.steps_done, saved.weights["w"].item()) == (3, 0 + 1 + 2)
    run_steps(*counting(saved.record), saved.record, 5, path, checkpoint_every_s=1000)
    last = read_state(path)
    assert last.record.steps_done == 5
    assert last.weights["w"].item() == 3 + 4  # the steps before were not taken again
    assert last.record.seconds > 0


def test_weights_that_are_not_finite_replace_no_state(tmp_path):
    """The loss of the step that broke them was still a number."""
    record = Record()
    weight = torch.zeros(1)

    def take_step(step):
        weight.fill_(math.inf if step == 3 else step)
        record.add_losses(float(step))
        return float(step)

    def state():
        return TrainingState({"w": weight}, {}, {}, {}, 0, None, record)

    with pytest.raises(UserError, match=r"since step 4, weights/w holds .* after step 3 is kept"):
        run_steps(
            take_step, lambda: None, state, record, 5, tmp_path / STATE_FILE, checkpoint_every_s=0
        )
    assert read_state(tmp_path / STATE_FILE).record.steps_done == 3


def test_all_processes_stop_with_the_one_that_was_asked(tmp_path):
    record = Record()
    asked = iter([False, True])
    with pytest.raises(StoppedError, match="stopped by SIGTERM; the state after step 2 of 5"):
        run_steps(
            *counting(record), record, 5, tmp_path / STATE_FILE, 1000,
            any_process=lambda _: next(asked),
        )  # fmt: skip
    assert read_state(tmp_path / STATE_FILE).record.steps_done == 2


def test_a_long_follow_up_is_broken_off_and_done_anew(tmp_path):
    """What it had changed by then is forgotten."""
    path = tmp_path / STATE_FILE

    def train(record, best, is_stopped):
        take_step, _, state = counting(record)

        def follow_up():
            record.close_window(0, {}, 0.1)
            best[f"every/{record.steps_done}"] = torch.ones(1)
            if is_stopped and record.steps_done == 3:
                os.kill(os.getpid(), signal.SIGTERM)
                raise AssertionError("it went on")
            record.is_best("every", None)

        def whole_state():
            return replace(state(), best=best)

        run_steps(take_step, follow_up, whole_state, record, 5, path, checkpoint_every_s=1000)
        return read_state(path)

    unbroken = train(Record(), {}, is_stopped=False)
    with pytest.raises(StoppedError, match="the state after step 3 of 5 is saved"):
        train(Record(), {}, is_stopped=True)
    stopped = read_state(path)
    assert stopped.record.follow_up_due
    assert len(stopped.record.curve) == len(stopped.best) == 2
    resumed = train(stopped.record, stopped.best, is_stopped=False)
    assert resumed.best.keys() == unbroken.best.keys()
    ours, theirs = resumed.record.to_json(), unbroken.record.to_json()
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_only_the_main_process_writes(tmp_path):
    record = Record()
    run_steps(*counting(record), record, 2, tmp_path / STATE_FILE, 0, is_main=False)
    assert record.steps_done == 2
    assert not list(tmp_path.iterdir())
