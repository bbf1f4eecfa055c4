"""The training loop: learning, exact resumption, the discriminator's start, being stopped."""

import math
import os
import signal

import pytest
import torch

from pipeline.autoencoding.examples import LabelExamples, PhotoExamples
from pipeline.autoencoding.objectives import LabelObjective, PhotoObjective
from pipeline.autoencoding.settings import (
    AdversarialSettings,
    AutoencoderTrainingSettings,
    LatentLossSettings,
    MaskLossSettings,
    PhotoLossSettings,
)
from pipeline.autoencoding.training import Trainer
from pipeline.data.augmentation import GeometricSettings
from pipeline.io.errors import StoppedError, UserError
from pipeline.models.autoencoder import AutoencoderNetworkSettings, build_autoencoder
from pipeline.models.label_codes import label_code
from pipeline.training.state import STATE_FILE, read_state
from tests.autoencoding.squares import COLOURS, square_pairs

CPU = torch.device("cpu")
MOVES = GeometricSettings(horizontal_flip=0.5, rotation_degrees=20)
TRAINING = {
    "max_steps": 10,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "warmup_steps": 3,
    "decay": "cosine",
    "clip_norm": 1.0,
    "threads": 1,
    "augment": MOVES,
    "log_every_steps": 4,
    "evaluate_every_steps": 5,
    "checkpoint_every_s": 0,
}
ADVERSARIAL = AdversarialSettings(width=8, layers=1, start_step=4)


def network(kind, channels=3):
    torch.manual_seed(0)
    settings = AutoencoderNetworkSettings(
        kind=kind, width=8, multipliers=[1, 2], blocks=1, latent_channels=2, codebook_size=6,
        groups=4,
    )  # fmt: skip
    return build_autoencoder(settings, channels)


def settings(**changes):
    return AutoencoderTrainingSettings.model_validate(TRAINING | changes)


def photo_trainer(folder, kind="kl", adversarial=None, is_new=True, **changes):
    return Trainer(
        autoencoder=network(kind),
        objective=PhotoObjective(PhotoLossSettings(perceptual_weight=0), CPU),
        latent_loss=LatentLossSettings(),
        adversarial=adversarial,
        train=PhotoExamples(square_pairs(), MOVES, 7),
        val=PhotoExamples(square_pairs(3, seed=1), MOVES, 7),
        settings=settings(**changes),
        is_new=is_new,
        seed=7,
        folder=folder,
    )


def mask_trainer(folder, name="bits", **changes):
    code = label_code(name, 3)
    examples = LabelExamples(square_pairs(), COLOURS, code, MOVES, 7)
    shares = torch.tensor([0.4, 0.1, 0.5])
    return Trainer(
        autoencoder=network("kl", code.channels),
        objective=LabelObjective(MaskLossSettings(), code, shares),
        latent_loss=LatentLossSettings(),
        adversarial=None,
        train=examples,
        val=examples,
        settings=settings(**changes),
        is_new=True,
        seed=7,
        folder=folder,
    )


def assert_same_state(one, other):
    for group in ("weights", "optimiser"):
        ours, theirs = getattr(one, group), getattr(other, group)
        assert ours.keys() == theirs.keys() and ours
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), group
    ours, theirs = one.record.to_json(), other.record.to_json()
    ours.pop("seconds"), theirs.pop("seconds")
    assert ours == theirs


class KilledError(Exception):
    pass


def run_killed_after(monkeypatch, make, folder, step):
    """Train until `step` is done, then fail before anything else happens."""
    unbroken = Trainer._step

    def failing(self, index):
        if index == step:
            raise KilledError
        return unbroken(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", failing)
        with pytest.raises(KilledError):
            make(folder).run()


@pytest.mark.parametrize(
    ("kind", "adversarial", "precision"),
    [("kl", None, "fp32"), ("vq", ADVERSARIAL, "fp32"), ("kl", ADVERSARIAL, "bf16")],
)
def test_resumed_training_equals_unbroken_one(tmp_path, monkeypatch, kind, adversarial, precision):
    def make(folder):
        return photo_trainer(folder, kind, adversarial, precision=precision)

    unbroken = make(tmp_path / "unbroken").run()
    for step in (3, 7):  # killed twice, before and after the discriminator's start
        run_killed_after(monkeypatch, make, tmp_path / "killed", step)
    assert_same_state(make(tmp_path / "killed").run(), unbroken)
    assert_same_state(read_state(tmp_path / "unbroken" / STATE_FILE), unbroken)
    models = {name.split(".")[0] for name in unbroken.weights}
    assert models == ({"autoencoder"} if adversarial is None else {"autoencoder", "discriminator"})


def test_resumed_mask_training_equals_unbroken_one(tmp_path, monkeypatch):
    unbroken = mask_trainer(tmp_path / "unbroken").run()
    run_killed_after(monkeypatch, mask_trainer, tmp_path / "killed", 5)
    assert_same_state(mask_trainer(tmp_path / "killed").run(), unbroken)


def test_stop_signal_saves_the_step_at_hand(tmp_path, monkeypatch):
    unbroken = photo_trainer(tmp_path / "unbroken", checkpoint_every_s=1000.0).run()
    plain = Trainer._step

    def signalled(self, step):
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", signalled)
        with pytest.raises(StoppedError, match="the state after step 6 of"):
            photo_trainer(tmp_path / "stopped", checkpoint_every_s=1000.0).run()
    assert_same_state(photo_trainer(tmp_path / "stopped").run(), unbroken)


def test_discriminator_learns_from_its_start_on(tmp_path):
    trainer = photo_trainer(tmp_path, adversarial=ADVERSARIAL, log_every_steps=1)
    before = {name: p.detach().clone() for name, p in trainer.adversary.parameters.items()}
    state = trainer.run()
    columns = state.record.columns
    rows = [dict(zip(columns, row, strict=True)) for row in state.record.curve]
    assert columns[2:-2] == ["loss", "pixel", "latent", "adversarial", "discriminator"]
    for row in rows:
        started = row["step"] > ADVERSARIAL.start_step
        assert (row["discriminator"] > 0) == (row["adversarial"] != 0) == started
        parts = row["pixel"] + row["latent"] + row["adversarial"]
        assert row["loss"] == pytest.approx(parts, abs=1e-5)
    now = trainer.adversary.parameters
    assert not any(torch.equal(now[name], old) for name, old in before.items() if old.dim() > 1)


@pytest.mark.parametrize("kind", ["kl", "vq"])
def test_learns_photos(tmp_path, kind):
    changes = {"max_steps": 60, "learning_rate": 5e-3, "log_every_steps": 20}
    curve = photo_trainer(tmp_path, kind, checkpoint_every_s=60, **changes).run().record.curve
    assert curve[-1][2] < curve[0][2] / 2
    val = [row[-2] for row in curve if row[-2] is not None]
    assert val[-1] < val[0] / 2


def test_learns_masks(tmp_path):
    changes = {"max_steps": 60, "learning_rate": 5e-3, "log_every_steps": 20}
    curve = mask_trainer(tmp_path, "one_hot", checkpoint_every_s=60, **changes).run().record.curve
    assert curve[-1][2] < curve[0][2] / 2


def test_only_a_new_codebook_is_spread(tmp_path):
    still = {"learning_rate": 1e-12, "max_steps": 1}
    fresh = network("vq").network.quantize.embedding.weight
    for is_new in (True, False):
        state = photo_trainer(tmp_path / str(is_new), "vq", is_new=is_new, **still).run()
        book = state.weights["autoencoder.network.quantize.embedding.weight"]
        assert torch.allclose(book, fresh, atol=1e-6) != is_new


def test_loss_that_is_not_a_number_names_the_step(tmp_path, monkeypatch):
    plain = Trainer._step

    def poisoned(self, step):
        if step == 4:
            next(self.autoencoder.parameters()).data.fill_(math.nan)
        return plain(self, step)

    monkeypatch.setattr(Trainer, "_step", poisoned)
    with pytest.raises(UserError, match=r"since step 5, the loss is nan.*learning_rate"):
        photo_trainer(tmp_path).run()
    assert read_state(tmp_path / STATE_FILE).record.steps_done == 4


def test_grids_show_originals_above_reconstructions(tmp_path):
    photo_trainer(tmp_path, preview={"every_steps": 5, "count": 2}).run()
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == [
        "step_000005.png", "step_000010.png",
    ]  # fmt: skip
