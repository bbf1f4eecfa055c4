"""The training loop: learning, exact resumption, monitors, settings, and its output folder."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState
from pydantic import ValidationError

from pipeline.data.augmentation import GeometricSettings
from pipeline.data.pairs import Pairs
from pipeline.diffusion.batches import BatchSource, total_ahead, validation_batches
from pipeline.diffusion.examples import PhotoExamples
from pipeline.diffusion.finetuning_settings import FinetuneSettings
from pipeline.diffusion.image_kinds import SdmKind, SdmSettings
from pipeline.diffusion.image_model import load_image_model
from pipeline.diffusion.image_training import train_image_model
from pipeline.diffusion.previews import PreviewSettings
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.diffusion.training import LOSS_PARTS, MEASURES, NO_EXTRAS, Extras, Trainer
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.errors import StoppedError, UserError
from pipeline.io.images import sha256_of, write_image, write_mask, write_silhouette
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest
from pipeline.models.conditioning import ConditionSettings
from pipeline.models.spade_unet import NetworkSettings, SpadeUNet, build_network
from pipeline.training.record import Best, Record
from pipeline.training.state import STATE_FILE, read_state

COLOURS = [(0, 0, 0), (255, 0, 0)]
COLUMNS = Record(parts=LOSS_PARTS, measures=MEASURES).columns
VAL = COLUMNS.index("val_loss")
NETWORK = NetworkSettings(
    width=8,
    multipliers=[1, 2],
    blocks=1,
    attention=[],
    head_channels=8,
    spade_channels=4,
    groups=4,
    dropout=0.1,
)
DIFFUSION = DiffusionSettings(timesteps=100, loss="hybrid", prediction="v")
TRAINING = TrainingSettings(
    max_steps=12,
    batch_size=4,
    learning_rate=1e-3,
    warmup_steps=3,
    decay="cosine",
    drop_rate=0.2,
    clip_norm=1.0,
    ema_decay=0.9,
    threads=1,
    augment=GeometricSettings(horizontal_flip=0.5, rotation_degrees=20),
    log_every_steps=5,
    evaluate_every_steps=6,
    checkpoint_every_s=1000,
)
EVERY_STEP = {"checkpoint_every_s": 0}  # is saved: a tenth of a second each


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    """Accelerate keeps its precision for the whole process; each training here has its own."""
    AcceleratorState._reset_state(reset_partial_state=True)


def pairs(total=6, size=8, seed=0):
    """Grey squares on black whose defect is red: easy to learn, different from each other."""
    rng = np.random.default_rng(seed)
    images = np.zeros((total, size, size, 3), np.uint8)
    masks = np.zeros((total, size, size), np.uint8)
    images[:, 1:-1, 1:-1] = rng.integers(90, 200, (total, 1, 1, 1), np.uint8)
    for image, mask, (row, column) in zip(
        images, masks, rng.integers(1, size - 3, (total, 2)), strict=True
    ):
        mask[row : row + 2, column : column + 2] = 1
        image[mask == 1] = (220, 20, 20)
    objects = images.max(axis=3) > 0
    return Pairs([f"lemon_{i}" for i in range(total)], images, masks, objects)


def network(diffusion=DIFFUSION):
    torch.manual_seed(0)
    return build_network(NETWORK, 3, diffusion.output_groups, (8, 8))


def trainer(folder, settings=TRAINING, diffusion=DIFFUSION, val=True, extras=NO_EXTRAS):
    return Trainer(
        network(diffusion),
        PhotoExamples(pairs(), settings.augment, 7, 2),
        PhotoExamples(pairs(3, seed=1), GeometricSettings(), 7, 2) if val else None,
        diffusion,
        settings,
        7,
        folder,
        extras,
    )


def with_changes(**changes):
    return TrainingSettings.model_validate({**TRAINING.model_dump(), **changes})


def assert_same_state(one, other):
    for group in ("weights", "average", "best", "optimiser"):
        ours, theirs = getattr(one, group), getattr(other, group)
        assert ours.keys() == theirs.keys() and ours
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), group
    assert one.average_updates == other.average_updates
    ours, theirs = one.record.to_json(), other.record.to_json()
    ours.pop("seconds"), theirs.pop("seconds")
    assert ours == theirs


class KilledError(Exception):
    pass


def run_killed_after(monkeypatch, folder, step, settings):
    """Train until `step` is done, then fail before anything else happens."""
    unbroken = Trainer._step

    def failing(self, index, batch):
        if index == step:
            raise KilledError
        return unbroken(self, index, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", failing)
        with pytest.raises(KilledError):
            trainer(folder, settings).run()


@pytest.mark.parametrize(
    ("monitor", "precision"), [("train_loss", "fp32"), ("val_loss", "bf16"), ("every", "fp32")]
)
def test_resumed_training_equals_unbroken_one(tmp_path, monkeypatch, monitor, precision):
    settings = with_changes(monitor=monitor, precision=precision)
    unbroken = trainer(tmp_path / "unbroken", settings).run()
    settings = with_changes(monitor=monitor, precision=precision, **EVERY_STEP)
    for step in (4, 8):  # killed twice, between two rows of the curve and within an epoch
        run_killed_after(monkeypatch, tmp_path / "killed", step, settings)
    assert_same_state(trainer(tmp_path / "killed", settings).run(), unbroken)
    assert_same_state(read_state(tmp_path / "unbroken" / STATE_FILE), unbroken)


def test_training_killed_by_signal_9_resumes_to_the_same_weights(tmp_path):
    """A real process, killed without warning at a moment nobody chose."""
    unbroken = trainer(tmp_path / "unbroken").run()
    script = (
        "import sys; sys.path[:0] = ['tests/diffusion', '.'];"
        "from test_training import *; import time; slow = Trainer._step;"
        "Trainer._step = lambda *a: (time.sleep(0.1), slow(*a))[1];"
        f"trainer(Path({str(tmp_path / 'killed')!r}), with_changes(**EVERY_STEP)).run()"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    path = tmp_path / "killed" / STATE_FILE
    while not path.exists() or read_state(path).record.steps_done < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 3 <= read_state(path).record.steps_done < 12
    assert_same_state(trainer(tmp_path / "killed").run(), unbroken)


def test_stop_signal_saves_the_step_at_hand(tmp_path, monkeypatch):
    unbroken = trainer(tmp_path / "unbroken").run()
    plain = Trainer._step

    def signalled(self, step, batch):
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(self, step, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", signalled)
        with pytest.raises(StoppedError, match="the state after step 7 of 12 is saved"):
            trainer(tmp_path / "stopped").run()
    assert read_state(tmp_path / "stopped" / STATE_FILE).record.steps_done == 7
    assert_same_state(trainer(tmp_path / "stopped").run(), unbroken)


def test_learns(tmp_path):
    settings = with_changes(
        max_steps=80,
        learning_rate=5e-3,
        drop_rate=0,
        log_every_steps=20,
        evaluate_every_steps=40,
    )
    diffusion = DiffusionSettings(timesteps=100, loss="mse", prediction="x0")
    curve = trainer(tmp_path, settings, diffusion).run().record.curve
    losses = [row[COLUMNS.index("loss")] for row in curve]
    assert losses[-1] < losses[0] / 2
    val = [row[VAL] for row in curve if row[VAL] is not None]
    assert val[-1] < val[0]


def test_losses_read_late_as_on_a_gpu_give_the_same_state_and_curve(tmp_path):
    settings = with_changes(log_every_steps=5, **EVERY_STEP)
    at_once, late = trainer(tmp_path / "0", settings), trainer(tmp_path / "1", settings)
    late.losses.steps_late = 1
    at_once.run()
    late.run()
    states = [read_state(tmp_path / name / STATE_FILE) for name in "01"]
    for state in states:
        state.record.seconds = 0
    assert states[0].record == states[1].record
    for name, tensor in states[0].weights.items():
        assert torch.equal(tensor, states[1].weights[name])


@pytest.mark.parametrize("steps_late", [0, 1])
def test_loss_that_is_not_a_number_names_the_step(tmp_path, steps_late):
    broken = trainer(tmp_path, with_changes(**EVERY_STEP))
    broken.losses.steps_late = steps_late
    plain = broken._step

    def poisoned(step, batch):
        if step == 4:
            next(broken.network.parameters()).data.fill_(math.nan)
        return plain(step, batch)

    broken._step = poisoned
    with pytest.raises(UserError, match=r"since step 5, the loss is nan.*after step 4 is kept"):
        broken.run()
    state = read_state(tmp_path / STATE_FILE)
    assert state.record.steps_done == 4
    assert all(tensor.isfinite().all() for tensor in state.weights.values())


def test_monitors_choose_their_best(tmp_path):
    by_training = trainer(tmp_path / "train", with_changes(max_steps=20)).run().record
    epochs = {math.ceil(6 * e / 4): e for e in range(1, 14)}  # 6 pairs, batches of 4
    assert by_training.best["train_loss"].step in epochs
    by_validation = trainer(tmp_path / "val", with_changes(monitor="val_loss")).run().record
    measured = {row[0]: row[VAL] for row in by_validation.curve if row[VAL] is not None}
    assert sorted(measured) == [6, 12]
    assert by_validation.best["val_loss"].step == min(measured, key=measured.get)
    assert by_validation.best["val_loss"].value == min(measured.values())
    every = trainer(tmp_path / "every", with_changes(monitor="every")).run()
    assert every.record.best == {"every": Best(12, None)}
    assert every.best_by("every").keys() == every.average.keys()
    assert all(torch.equal(t, every.average[name]) for name, t in every.best_by("every").items())


def test_candidates_are_kept_beside_the_best(tmp_path):
    values = iter([0.3, 0.1, 0.2])
    settings = with_changes(
        monitor="colour_divergence",
        candidates=["val_loss", "every"],
        colour_divergence={"every_steps": 4},
    )
    seen = {}
    running = trainer(tmp_path, settings, extras=Extras(colour_divergence=lambda: next(values)))
    plain = running._follow_up

    def watched():
        plain()
        average = running.average.tensors()
        seen[running.record.steps_done] = {name: t.clone() for name, t in average.items()}

    running._follow_up = watched
    state = running.run()
    assert state.record.best["colour_divergence"] == Best(8, 0.1)
    divergence = COLUMNS.index("colour_divergence")
    figures = {row[0]: row[divergence] for row in state.record.curve}
    assert [figures[step] for step in (4, 8, 12)] == [0.3, 0.1, 0.2]
    for monitor in ("colour_divergence", "val_loss", "every"):
        step = state.record.best[monitor].step
        assert all(torch.equal(t, seen[step][n]) for n, t in state.best_by(monitor).items())
    assert_same_state(read_state(tmp_path / STATE_FILE), state)


def test_train_loss_is_the_mean_over_an_epoch(tmp_path):
    settings = with_changes(max_steps=3, log_every_steps=1, evaluate_every_steps=None)
    record = trainer(tmp_path, settings).run().record
    losses = [row[2] for row in record.curve]
    # 12 examples in 3 batches of 4: epochs of 6 pairs end within the second and after the third
    first, second = (losses[0] + losses[1]) / 2, losses[2]
    best = record.best["train_loss"]
    assert best.value == pytest.approx(min(first, second))
    assert best.step == (2 if first < second else 3)


def test_curve_rows_are_means_since_the_row_before(tmp_path):
    fine = trainer(tmp_path / "fine", with_changes(log_every_steps=1)).run().record.curve
    coarse = trainer(tmp_path / "coarse").run().record.curve
    assert [row[0] for row in coarse] == [5, 6, 10, 12]
    losses = [row[2] for row in fine]
    expected = [np.mean(losses[:5]), losses[5], np.mean(losses[6:10]), np.mean(losses[10:])]
    np.testing.assert_allclose([row[2] for row in coarse], expected)


def test_average_is_the_warmed_up_mean_of_the_weights(tmp_path):
    settings = with_changes(max_steps=4, ema_decay=0.3)
    running = trainer(tmp_path, settings)
    name = "conv_in.bias"
    seen, plain = [], running._step

    def watched(step, batch):
        loss = plain(step, batch)
        seen.append(running.parameters[name].detach().clone())
        return loss

    running._step = watched
    state = running.run()
    # decay at update n is min(0.3, (1 + n)/(10 + n)), n from 0; the first takes the weights over
    expected = seen[0]
    for n, weights in enumerate(seen[1:], start=1):
        decay = min(0.3, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(state.average[name], expected)


def test_learning_rate_warms_up_and_decays():
    rates = [TRAINING.learning_rate_at(step, 12) for step in range(12)]
    assert rates[0] == pytest.approx(1e-3 / 3)
    assert rates[6] == pytest.approx(5e-4)
    assert rates[-1] < 2e-5
    constant = with_changes(decay="none", warmup_steps=0)
    assert {constant.learning_rate_at(step, 12) for step in (0, 11)} == {1e-3}


def test_ends_at_the_earlier_of_steps_and_epochs():
    assert TRAINING.total_steps(6) == 12
    assert with_changes(max_epochs=3).total_steps(6) == 5  # ⌈3·6/4⌉
    assert with_changes(max_epochs=3, max_steps=None).total_steps(100) == 75


@pytest.mark.parametrize(
    "changes",
    [
        {"max_steps": None},
        {"monitor": "val_loss", "evaluate_every_steps": None},
        {"candidates": ["every"], "evaluate_every_steps": None},
        {"candidates": ["train_loss"]},
        {"candidates": ["every", "every"]},
        {"monitor": "colour_divergence"},
        {"batch_size": 0},
        {"precision": "fp8"},
        {"patience": 3},
    ],
)
def test_refuses_settings_that_make_no_sense(changes):
    with pytest.raises(ValidationError):
        with_changes(**changes)


def test_refuses_what_data_or_machine_cannot_serve(tmp_path):
    for changes in ({"monitor": "val_loss"}, {"candidates": ["val_loss"]}):
        with pytest.raises(UserError, match="no validation pairs"):
            trainer(tmp_path, with_changes(**changes), val=False)
    with pytest.raises(UserError, match=r"batch_size: got 4, expected a multiple of 3, for 3 pro"):
        TRAINING.check_against(validation_pairs=1, processes=3)
    with pytest.raises(UserError, match=r"multiple of 8, for 2 .* training\.accumulation 4"):
        with_changes(accumulation=4).check_against(validation_pairs=1, processes=2)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"training\.precision: got fp16"):
            trainer(tmp_path, with_changes(precision="fp16"))


def without_dropout(folder, **changes):
    torch.manual_seed(0)
    settings = NETWORK.model_copy(update={"dropout": 0.0})
    training = trainer(folder, with_changes(max_steps=4, evaluate_every_steps=4, **changes))
    training._prepare(build_network(settings, 3, DIFFUSION.output_groups, (8, 8)))
    return training


def test_a_batch_in_parts_takes_the_same_steps(tmp_path, monkeypatch):
    calls = []
    predict = Trainer._predict

    def noted(self, model, batch):
        calls.append(len(batch.x0))
        return predict(self, model, batch)

    monkeypatch.setattr(Trainer, "_predict", noted)
    whole = without_dropout(tmp_path / "whole").run()
    assert calls[:4] == [4, 4, 4, 4]
    calls.clear()
    parts = without_dropout(tmp_path / "parts", accumulation=4).run()
    assert calls[:16] == [1] * 16
    for name, weights in whole.weights.items():
        torch.testing.assert_close(parts.weights[name], weights, rtol=1e-3, atol=1e-5)
    (ours,), (theirs,) = parts.record.to_json()["curve"], whole.record.to_json()["curve"]
    assert ours == pytest.approx(theirs)


def test_the_environment_may_have_the_network_compiled(tmp_path, monkeypatch):
    settings = with_changes(max_steps=2, evaluate_every_steps=2)
    plain = trainer(tmp_path / "plain", settings).run()
    AcceleratorState._reset_state(reset_partial_state=True)
    # captured as for the compiler, but not compiled, which would take a minute
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "eager")
    compiled = trainer(tmp_path / "compiled", settings)
    assert type(compiled.model).__name__ == "OptimizedModule"
    state = compiled.run()
    assert state.weights.keys() == plain.weights.keys()
    for name, weights in plain.weights.items():
        torch.testing.assert_close(state.weights[name], weights)


def source(total=6, batch_size=4, drop_rate=0.2, augment=TRAINING.augment, seed=3, **changes):
    examples = PhotoExamples(pairs(total), augment, seed, 2)
    return BatchSource(examples, batch_size, drop_rate, 100, seed, **changes)


def test_every_epoch_holds_every_pair_once():
    seen = [index for step in range(6) for index in source().order.indices(step)]
    epochs = [seen[first : first + 6] for first in range(0, 24, 6)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert len(source(total=2, batch_size=5).order.indices(0)) == 5  # a set smaller than a batch


@pytest.mark.parametrize("ahead", [0, 1, 2, 4])  # 4: more than there are
def test_batch_depends_on_seed_and_step_alone(ahead):
    batches = list(source().batches(3, 6, ahead))
    fresh, again = source().batch(5), batches[2]
    assert len(batches) == 3
    for one, other in zip(vars(fresh).values(), vars(again).values(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(source(seed=4).batch(5).epsilon, fresh.epsilon)


@pytest.mark.parametrize(
    ("device", "cores", "processes", "ahead"),
    [("cpu", 16, 1, 0), ("cuda", 16, 1, 4), ("cuda", 8, 4, 1), ("cuda", 1, 1, 1)],
)
def test_batches_ahead_of_a_gpu_leave_it_a_core(monkeypatch, device, cores, processes, ahead):
    monkeypatch.setattr("pipeline.diffusion.batches.total_cores", lambda: cores)
    assert total_ahead(torch.device(device), processes) == ahead


def test_processes_share_one_batch():
    whole = source().batch(2)
    parts = [source(rank=rank, total_ranks=2).batch(2) for rank in (0, 1)]
    for name, tensor in vars(whole).items():
        assert torch.equal(tensor, torch.cat([getattr(part, name) for part in parts])), name


def test_dropped_conditions_are_null_with_the_silhouette():
    batch = source(drop_rate=1.0).batch(0)
    assert batch.condition.shape == (4, 3, 8, 8) and not batch.condition.any()
    steps = [source(total=40, batch_size=40, drop_rate=0.3).batch(step) for step in range(20)]
    dropped = torch.cat([~b.condition.flatten(1).any(1) for b in steps]).float().mean()
    assert 0.25 < dropped < 0.35
    assert source(drop_rate=0.0).batch(0).condition[:, :2].sum(1).eq(1).all()


def test_timesteps_are_uniform_and_spread_over_each_batch():
    steps = [source(batch_size=10).batch(step).t for step in range(200)]
    assert all(len({int(t) // 10 for t in batch}) >= 9 for batch in steps)
    counts = torch.bincount(torch.cat(steps), minlength=100)
    assert len(counts) == 100 and counts.min() > 5 and counts.max() < 45


def test_augmentation_moves_photo_mask_and_silhouette_together():
    batch = source(augment=GeometricSettings(vertical_flip=1.0), drop_rate=0.0).batch(0)
    chosen = pairs()
    for place, index in enumerate(source().order.indices(0)):
        photo = torch.from_numpy(chosen.images[index, ::-1].copy()).permute(2, 0, 1)
        torch.testing.assert_close(batch.x0[place], photo / 127.5 - 1)
        flipped = torch.from_numpy(chosen.masks[index, ::-1].copy())
        assert torch.equal(batch.condition[place, 1], flipped.float())
        assert torch.equal(batch.defects[place], flipped == 1)


def test_validation_is_the_same_each_time_and_covers_every_pair():
    examples = PhotoExamples(pairs(5), TRAINING.augment, 0, 2)
    first, second = (list(validation_batches(examples, 2, 100, 0)) for _ in range(2))
    assert [len(batch.t) for batch in first] == [2, 2, 1]
    assert sorted(torch.cat([b.t for b in first]).tolist()) == [10, 30, 50, 70, 90]
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(tensor, vars(other)[name]) for name, tensor in vars(one).items())


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A prepared set of six training, three validation pairs and a test pair nobody may read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    folder = tmp_path / "data/prepared"
    rows = []
    for split, content in (("train", pairs()), ("val", pairs(3, seed=1))):
        for index in range(len(content)):
            name = f"{split}_{index}"
            image, mask, silhouette = (
                f"{kind}/{name}.png" for kind in ("images", "masks", "objects")
            )
            write_image(folder / image, content.images[index])
            write_mask(folder / mask, content.masks[index], COLOURS)
            write_silhouette(folder / silhouette, content.objects[index])
            rows.append(
                {
                    "id": name,
                    "image": image,
                    "mask": mask,
                    "object": silhouette,
                    "split": split,
                    "classes": ["defect"],
                    "image_sha256": sha256_of(folder / image),
                    "mask_sha256": sha256_of(folder / mask),
                }
            )
    rows.append({**rows[0], "id": "secret", "image": "missing.png", "split": "test"})
    write_manifest(folder, pd.DataFrame(rows))
    names = ["background", "defect"]
    write_classes(folder, [ClassInfo(i, names[i], COLOURS[i]) for i in (0, 1)])
    return folder


def sdm(**changes):
    preview = PreviewSettings(every_steps=8, count=2, steps=3, guidance=0.5)
    training = with_changes(preview=preview.model_dump(), **changes)
    return SdmSettings(network=NETWORK, diffusion=DIFFUSION, training=training)


def train(prepared, out, settings, **arguments):
    condition = ConditionSettings(object=True)
    kind = SdmKind(settings, prepared)
    train_image_model("train-image-dm", prepared, out, kind, condition, 0, **arguments)


def test_output_folder_holds_model_curve_grids_and_nothing_else(prepared, tmp_path):
    out = tmp_path / "data/models/image_dm"
    train(prepared, out, sdm())
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    weights = "diffusion_pytorch_model.safetensors"
    assert files == {
        *(f"{name}/{file}" for name in ("best", "last") for file in ("config.json", weights)),
        "state/state.safetensors",
        "state/state.json",
        "settings.json",
        "curve.csv",
        "curve.png",
        "samples/step_000008.png",
        "samples/step_000012.png",
        "training.json",
    }
    assert list(pd.read_csv(out / "curve.csv").columns) == COLUMNS
    assert len(list((tmp_path / ".checkpoints").glob("*/*/finished"))) == 1
    painter, card = load_image_model(out, "last", tmp_path)
    assert card.settings == sdm() and card.with_object and card.classes[1].name == "defect"
    average = read_state(out / "state" / STATE_FILE).average
    assert all(torch.equal(tensor, average[n]) for n, tensor in painter.network.named_parameters())
    assert isinstance(SpadeUNet.from_pretrained(out / "best"), SpadeUNet)


def test_candidates_become_folders_with_a_grid_each(prepared, tmp_path):
    out = tmp_path / "out"
    training = {
        "monitor": "val_loss",
        "candidates": ["colour_divergence"],
        "colour_divergence": {"every_steps": 6, "samples": 3, "steps": 2},
    }
    train(prepared, out, sdm(**training))
    assert {path.name for path in (out / "candidates").iterdir()} == {
        "best.png",
        "last.png",
        "colour_divergence.png",
    }
    written = json.loads((out / "training.json").read_text())["candidates"]
    curve = pd.read_csv(out / "curve.csv").dropna(subset="colour_divergence")
    lowest = curve.loc[curve["colour_divergence"].idxmin()]
    assert written["colour_divergence"]["step"] == lowest["step"]
    assert 0 < lowest["colour_divergence"] <= math.log(2)
    painter, _ = load_image_model(out, "colour_divergence", tmp_path)
    best = read_state(out / "state" / STATE_FILE).best_by("colour_divergence")
    assert all(torch.equal(t, best[n]) for n, t in painter.network.named_parameters())
    with pytest.raises(UserError, match=r"checkpoint: got every, but .* holds best, colour_div"):
        load_image_model(out, "every", tmp_path)


def test_a_smaller_model_is_trained_on_smaller_photos(prepared, tmp_path):
    out = tmp_path / "out"
    train(prepared, out, sdm(), reduction=2)
    assert json.loads((out / "settings.json").read_text())["height"] == 4
    with pytest.raises(UserError, match=r"image_dm\.reduction: got 3, which does not divide"):
        train(prepared, tmp_path / "other", sdm(), reduction=3)


def test_two_trainings_write_the_same_bytes(prepared, tmp_path):
    one, two, again = (tmp_path / name for name in ("one", "two", "again"))
    train(prepared, one, sdm())
    shutil.rmtree(tmp_path / ".checkpoints")
    train(prepared, two, sdm())
    train(prepared, again, sdm())  # from the finished store: killed before the output was taken in
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    for other in (two, again):
        different = [str(f) for f in files if sha256_of(one / f) != sha256_of(other / f)]
        assert different == []


def test_finetuning_continues_weights_average_and_optimiser(prepared, tmp_path):
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    train(prepared, base, sdm())
    settings = sdm()
    finetune = FinetuneSettings(enabled=True, max_steps=1, learning_rate=1e-9)
    training = finetune.applied_to(settings.training)
    assert (training.drop_rate, training.decay, training.warmup_steps) == (0.2, "none", 0)
    train(prepared, tuned, settings.model_copy(update={"training": training}), start=base)
    before, after = (read_state(out / "state" / STATE_FILE) for out in (base, tuned))
    assert after.average_updates == before.average_updates + 1
    for name, tensor in before.weights.items():
        torch.testing.assert_close(after.weights[name], tensor, atol=1e-7, rtol=0)
        step = after.optimiser[f"{name}/step"]
        assert step == before.optimiser[f"{name}/step"] + 1 == 13
    assert [row[0] for row in after.record.curve] == [1]


def test_silhouette_that_the_set_lacks_is_named(prepared, tmp_path):
    frame = pd.read_parquet(prepared / "manifest.parquet").assign(object=None)
    frame.to_parquet(prepared / "manifest.parquet")
    with pytest.raises(UserError, match=r"condition\.object: got true, but .* has no silhouettes"):
        train(prepared, tmp_path / "out", sdm())
    assert not (tmp_path / "out").exists()


def test_unused_finetuning_is_quick_and_imports_nothing_heavy(tmp_path):
    params = {"image_dm": {"finetune": {"enabled": False}}}
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    script = (
        "import sys, stages.finetune_image_dm as stage; stage.main();"
        "heavy = {'torch', 'diffusers', 'pandas', 'numpy', 'accelerate'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and "not used" in done.stdout
    written = json.loads((tmp_path / "data/models/image_dm_finetuned/unused.json").read_text())
    assert written == {"used": False, "reason": "image_dm.finetune.enabled is false"}
