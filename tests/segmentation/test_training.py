"""A segmenter learns, is the same twice, and survives being killed."""

import math
import os
import signal

import numpy as np
import pytest
import torch

from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.pairs import Pairs
from pipeline.io.errors import StoppedError, UserError
from pipeline.models.segmenters import NetworkSettings, build_segmenter
from pipeline.segmentation import training
from pipeline.segmentation.checkpoint import load_state
from pipeline.segmentation.training import (
    BudgetSettings,
    TrainingData,
    TrainingSettings,
    train_on,
    train_segmenter,
)
from pipeline.training.sealed import path_before

# the smallest encoder there is; DeepLabv3+ also brings dropout
NETWORK = NetworkSettings(encoder="tu-tf_mobilenetv3_small_minimal_100", encoder_weights=None)


class KilledError(Exception):
    """Stands for the end of the process."""


def make_pairs(total: int, seed: int) -> Pairs:
    """Bright squares on grey noise, the square being class 1."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 120, size=(total, 32, 32, 3)).astype(np.uint8)
    masks = np.zeros((total, 32, 32), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        top, left = rng.integers(0, 16, size=2)
        image[top : top + 14, left : left + 14] = 230
        mask[top : top + 14, left : left + 14] = 1
    return Pairs([f"{index:02d}" for index in range(total)], images, masks, None)


def make_data(augmentation: AugmentationSettings | None = None) -> TrainingData:
    return TrainingData(make_pairs(13, 0), make_pairs(4, 1), 2, augmentation)


def settings(steps: int, **changes) -> TrainingSettings:
    budget = BudgetSettings(unit="steps", amount=steps)
    defaults = {
        "learning_rate": 3e-3,
        "batch_size": 4,
        "validate_every_steps": 2,
        "checkpoint_every_s": 1000,
    }
    return TrainingSettings(budget=budget, **(defaults | changes))


def train(path, architecture="unet", steps=6, data=None, **changes):
    return train_segmenter(
        architecture,
        NETWORK,
        settings(steps, **changes),
        data or make_data(),
        seed=3,
        state_path=path,
        what="test",
    )


def weights_of(trained) -> dict[str, torch.Tensor]:
    return trained.network.state_dict()


def assert_equal(first, second) -> None:
    for name, tensor in weights_of(first).items():
        assert torch.equal(tensor, weights_of(second)[name]), name
    assert first.curve.equals(second.curve)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_learns(tmp_path):
    trained = train(tmp_path / "state", steps=40, validate_every_steps=10)
    assert trained.curve["val_defect_iou"].iloc[-1] > 0.5
    assert trained.curve["train_loss"].iloc[-1] < trained.curve["train_loss"].iloc[0] / 2


@pytest.mark.parametrize(
    ("optimiser", "momentum", "killed_at"),
    [("adamw", 0.9, 1), ("adamw", 0.9, 3), ("adamw", 0.9, 4), ("sgd", 0.9, 3), ("sgd", 0.0, 3)],
)
def test_killed_and_resumed_equals_unbroken(tmp_path, monkeypatch, optimiser, momentum, killed_at):
    """DeepLabv3+ has dropout, so its generator is resumed too."""
    options = {
        "architecture": "deeplabv3plus",
        "data": make_data(AugmentationSettings(horizontal_flip=0.5, contrast=0.3)),
        "optimiser": optimiser,
        "momentum": momentum,
    }
    unbroken = train(tmp_path / "unbroken", **options)
    train_step = training._Trainer._train_step

    def killed_step(trainer, step):
        if step == killed_at:
            raise KilledError
        return train_step(trainer, step)

    with monkeypatch.context() as patch:
        patch.setattr(training._Trainer, "_train_step", killed_step)
        with pytest.raises(KilledError):
            train(tmp_path / "broken", checkpoint_every_s=0, **options)
    torch.manual_seed(99)  # nothing may hang on the global generator
    steps_done = []
    monkeypatch.setattr(
        training._Trainer,
        "_train_step",
        lambda trainer, step: steps_done.append(step) or train_step(trainer, step),
    )
    resumed = train(tmp_path / "broken", **options)
    assert steps_done == list(range(killed_at, 6))
    assert_equal(resumed, unbroken)


def test_a_stop_signal_saves_the_step_at_hand(tmp_path, monkeypatch):
    """Between two validations, the first of which is yet to come."""
    unbroken = train(tmp_path / "unbroken", validate_every_steps=3)
    train_step = training._Trainer._train_step

    def signalled(trainer, step):
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(trainer, step)

    options = {"validate_every_steps": 3}
    with monkeypatch.context() as patch:
        patch.setattr(training._Trainer, "_train_step", signalled)
        with pytest.raises(StoppedError, match="test: the state after step 2 of 6 is saved"):
            train(tmp_path / "stopped", **options)
    assert_equal(train(tmp_path / "stopped", **options), unbroken)


@pytest.mark.parametrize("number", [1, 3])
def test_a_stop_signal_does_not_wait_for_a_validation(tmp_path, monkeypatch, number):
    """Validations after the steps 2, 4 and 6; the last one decides the weights that are kept."""
    unbroken = train(tmp_path / "unbroken")
    predict, seen = training.predict, []

    def signalled(*arguments):
        seen.append("begun")
        if len(seen) == number:
            os.kill(os.getpid(), signal.SIGTERM)
            seen.append("went on")
        return predict(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "predict", signalled)
        kept = f"test: the state after step {2 * number} of 6 is saved"
        with pytest.raises(StoppedError, match=kept):
            train(tmp_path / "stopped")
    assert seen == ["begun"] * number
    state, parts = load_state(tmp_path / "stopped")
    assert (len(state.curve), len(state.losses)) == (number - 1, 2)
    assert "weights" in parts
    assert_equal(train(tmp_path / "stopped"), unbroken)
    assert list(load_state(tmp_path / "stopped")[1]) == ["best"]


def test_a_damaged_state_gives_way_to_the_one_before(tmp_path, monkeypatch, capsys):
    unbroken = train(tmp_path / "unbroken")
    train_step = training._Trainer._train_step

    def killed(trainer, step):
        if step == 4:
            raise KilledError
        return train_step(trainer, step)

    with monkeypatch.context() as patch:
        patch.setattr(training._Trainer, "_train_step", killed)
        with pytest.raises(KilledError):
            train(tmp_path / "torn", checkpoint_every_s=0)
    (tmp_path / "torn").write_bytes((tmp_path / "torn").read_bytes()[:-9])
    assert load_state(path_before(tmp_path / "torn"))[0].step == 3
    assert_equal(train(tmp_path / "torn"), unbroken)
    assert "torn: damaged" in capsys.readouterr().out


def test_a_loss_that_is_no_number_keeps_the_state_before(tmp_path, monkeypatch):
    train_step = training._Trainer._train_step

    def poisoned(trainer, step):
        if step == 3:
            next(trainer.network.parameters()).data.fill_(math.nan)
        return train_step(trainer, step)

    monkeypatch.setattr(training._Trainer, "_train_step", poisoned)
    with pytest.raises(UserError, match=r"since step 4, the loss is nan.*after step 3 is kept in"):
        train(tmp_path / "state", checkpoint_every_s=0)
    assert load_state(tmp_path / "state")[0].step == 3


def test_finished_training_is_not_repeated(tmp_path, monkeypatch):
    first = train(tmp_path / "state")
    monkeypatch.setattr(training._Trainer, "_train_step", None)
    assert_equal(train(tmp_path / "state"), first)


def test_keeps_the_weights_of_the_best_validation(tmp_path, monkeypatch):
    values = iter([0.2, 0.7, 0.7, 0.1])
    monkeypatch.setattr(training, "reduce_score", lambda *_: next(values))
    snapshots = {}
    note = training._Trainer._note

    def recorded(trainer, scores):
        note(trainer, scores)
        state = trainer.network.state_dict()
        snapshots[trainer.state.step] = {name: tensor.clone() for name, tensor in state.items()}

    monkeypatch.setattr(training._Trainer, "_note", recorded)
    trained = train(tmp_path / "state", steps=8)
    assert (trained.best_step, trained.best_value) == (4, 0.7)  # the earlier of two equals
    for name, tensor in weights_of(trained).items():
        assert torch.equal(tensor, snapshots[4][name]), name


def test_momentum_is_a_parameter_of_sgd():
    """Two steps of gradient 1 at rate 1: 1 + (0.7 + 1)."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    sgd = settings(1, optimiser="sgd", momentum=0.7, learning_rate=1.0, weight_decay=0.0)
    optimiser = training.make_optimiser(layer, sgd)
    for _ in range(2):
        layer.weight.grad = torch.ones(1, 1)
        optimiser.step()
    assert layer.weight.item() == pytest.approx(-(1 + 1.7))


def test_without_validation_pairs_the_last_weights_are_kept(tmp_path):
    data = make_data()
    trained = train(tmp_path / "state", steps=5, data=TrainingData(data.train, None, 2, None))
    same = train(tmp_path / "same", steps=5, data=data, validate_every_steps=5)
    assert trained.best_step == 5 and math.isnan(trained.best_value)
    assert trained.curve["val_miou"].isna().all()
    for name, tensor in weights_of(trained).items():
        assert torch.equal(tensor, weights_of(same)[name]), name
    again = train(tmp_path / "state", steps=5, data=TrainingData(data.train, None, 2, None))
    assert_equal(again, trained)


def test_training_goes_on_from_given_weights(tmp_path):
    start = build_segmenter("unet", NETWORK, 2, seed=8)
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    tiny = settings(1, learning_rate=1e-9, weight_decay=0.0)
    trained = train_on(start, tiny, make_data(), 3, tmp_path / "state", "test")
    for name, parameter in trained.network.named_parameters():
        assert torch.allclose(parameter, before[name], atol=1e-6), name


def test_the_synthset_papers_downstream_settings(tmp_path):
    """EfficientNet-B4 from scratch, Dice and BCE, plain SGD at 0.01, epochs, no schedule."""
    paper = TrainingSettings(
        loss="dice_bce",
        optimiser="sgd",
        momentum=0.0,
        learning_rate=0.01,
        weight_decay=0.0,
        schedule="none",
        batch_size=4,
        budget=BudgetSettings(unit="epochs", amount=1),
    )
    network = NetworkSettings(encoder="efficientnet-b4", encoder_weights=None)
    data = TrainingData(make_pairs(4, 0), make_pairs(2, 1), 2, None)
    runs = [
        train_segmenter("unet", network, paper, data, 0, tmp_path / name, "test")
        for name in ("first", "second")
    ]
    assert runs[0].total_steps == 1
    assert_equal(*runs)  # its drop-connect is a function of seed and step


def test_seed_decides_the_weights(tmp_path):
    first = train(tmp_path / "first", steps=2)
    other = train_segmenter(
        "unet", NETWORK, settings(2), make_data(), 4, tmp_path / "other", "test"
    )
    name = "network.segmentation_head.0.weight"
    assert not torch.equal(weights_of(first)[name], weights_of(other)[name])


def test_augmentation_leaves_the_pairs_alone(tmp_path):
    data = make_data(AugmentationSettings(horizontal_flip=1.0, brightness=0.5))
    before = data.train.images.copy()
    plain = train(tmp_path / "plain", steps=2)
    augmented = train(tmp_path / "augmented", steps=2, data=data)
    assert np.array_equal(data.train.images, before)
    assert plain.curve["train_loss"].iloc[0] != augmented.curve["train_loss"].iloc[0]


def test_budget_in_epochs_validates_after_each(tmp_path):
    budget = BudgetSettings(unit="epochs", amount=2)
    chosen = settings(1, validate_every_steps=None).model_copy(update={"budget": budget})
    trained = train_segmenter("unet", NETWORK, chosen, make_data(), 0, tmp_path / "state", "test")
    # 13 pairs in batches of 4: a last batch of one is dropped
    assert trained.total_steps == 6
    assert trained.curve["step"].tolist() == [3, 6]
    assert trained.curve["epoch"].tolist() == [1.0, 2.0]


def test_a_budget_in_steps_is_the_same_for_mixes_of_any_size(tmp_path, monkeypatch):
    """Fair arms: seven pairs and the seven many times over take as many updates."""
    updates = []
    train_step = training._Trainer._train_step
    monkeypatch.setattr(
        training._Trainer,
        "_train_step",
        lambda trainer, step: updates.append(step) or train_step(trainer, step),
    )
    few = make_pairs(7, 0)
    again = [place % 7 for place in range(29)]
    repeated = Pairs([few.ids[i] for i in again], few.images[again], few.masks[again], None)
    validated = []
    for name, pairs in {"few": few, "repeated": repeated}.items():
        updates.clear()
        data = TrainingData(pairs, make_pairs(2, 1), 2, None)
        trained = train(tmp_path / name, steps=3, data=data)
        assert updates == [0, 1, 2] and trained.total_steps == 3
        validated.append(trained.curve["step"].tolist())
    assert validated == [[2, 3]] * 2  # and the best weights are chosen from as many


def test_refuses_to_monitor_defects_that_are_not_there(tmp_path):
    val = make_pairs(2, 1)
    val.masks[:] = 0
    data = TrainingData(make_pairs(4, 0), val, 2, None)
    with pytest.raises(UserError, match=r"monitor: .* choose monitor: miou"):
        train(tmp_path / "state", data=data, monitor="defect_iou")
