"""Latent diffusion: encoded examples, the kind's settings, training and painting."""

import json

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from pydantic import ValidationError

from pipeline.data.augmentation import GeometricSettings
from pipeline.data.pairs import Pairs
from pipeline.diffusion.examples import EncodedExamples, augmented_copies
from pipeline.diffusion.image_kinds import (
    LdmKind,
    LdmSettings,
    SdmKind,
    read_image_kind,
)
from pipeline.diffusion.latents import LatentSettings
from pipeline.diffusion.losses import training_loss
from pipeline.diffusion.painting import latent_space
from pipeline.diffusion.sampling import SamplerSettings
from pipeline.diffusion.schedules import DiffusionSettings, Schedule, make_betas
from pipeline.diffusion.training import Trainer
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.errors import UserError
from pipeline.models.autoencoder import (
    AutoencoderNetworkSettings,
    build_autoencoder,
    with_statistics,
    write_codec,
)
from pipeline.models.concat_unet import ConcatNetworkSettings

AUGMENT = GeometricSettings(horizontal_flip=0.5, rotation_degrees=30)
TRAINING = TrainingSettings(
    max_steps=4, batch_size=2, learning_rate=1e-2, drop_rate=0.5, threads=1, augment=AUGMENT
)
SETTINGS = LdmSettings(
    latents=LatentSettings(copies=3),
    network=ConcatNetworkSettings(width=8, multipliers=[1, 2], blocks=1, head_channels=8, groups=4),
    diffusion=DiffusionSettings(timesteps=50, schedule="scaled_linear", loss="l1"),
    training=TRAINING,
)


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def autoencoder(tmp_path):
    """A folder with an untrained KL autoencoder of factor 2."""
    torch.manual_seed(0)
    settings = AutoencoderNetworkSettings(
        kind="kl", width=8, multipliers=[1, 1], blocks=1, latent_channels=2, groups=4
    )
    folder = tmp_path / "autoencoder"
    network = build_autoencoder(settings, 3)
    write_codec(folder, with_statistics(network, torch.zeros(2), torch.full((2,), 0.5)))
    return folder


def pairs(total=3, size=16):
    rng = np.random.default_rng(0)
    masks = np.zeros((total, size, size), np.uint8)
    masks[:, 2:4, 5] = 1
    images = rng.integers(0, 256, (total, size, size, 3), dtype=np.uint8)
    return Pairs([f"p{i}" for i in range(total)], images, masks, masks == 0)


def test_first_copy_is_the_pair_itself_and_the_others_differ():
    copies = augmented_copies(pairs(), AUGMENT, 3, seed=4)
    assert copies.images.shape == (9, 16, 16, 3) and copies.objects.shape == (9, 16, 16)
    assert np.array_equal(copies.images[::3], pairs().images)
    assert not np.array_equal(copies.images[1], copies.images[2])
    assert np.array_equal(augmented_copies(pairs(), AUGMENT, 3, seed=4).masks, copies.masks)


def test_examples_are_the_latents_of_what_the_condition_shows(autoencoder):
    kind = LdmKind(SETTINGS, autoencoder)
    examples = kind.examples(pairs(), 2, seed=4, training=True)
    copies = augmented_copies(pairs(), AUGMENT, 3, seed=4)
    photos = torch.from_numpy(copies.images).permute(0, 3, 1, 2) / 127.5 - 1
    expected = kind.codec.encode(photos)
    torch.testing.assert_close(examples.x0, expected, atol=1e-5, rtol=1e-4)
    x0, condition, defects = examples.augmented(7, [0, 1], [2, 0])
    for place, index in enumerate([2, 0]):
        found = [c for c in range(3) if torch.equal(x0[place], examples.x0[index * 3 + c])]
        assert len(found) == 1
        mask = torch.from_numpy(copies.masks[index * 3 + found[0]])
        assert torch.equal(condition[place, 1], (mask == 1).float())
        blocks = mask.view(8, 2, 8, 2).amax(dim=(1, 3))  # a latent sees 2×2 pixels
        assert torch.equal(defects[place], blocks > 0)
    plain = examples.plain(slice(1, 3))
    assert torch.equal(plain.x0, examples.x0[[3, 6]])
    validation = kind.examples(pairs(), 2, seed=4, training=False)
    assert len(validation) == 3 and torch.equal(validation.x0, examples.x0[::3])


def test_without_condition_the_condition_is_empty():
    x0, masks = torch.randn(2, 2, 8, 8), np.zeros((2, 16, 16), np.uint8)
    examples = EncodedExamples(x0, masks, None, 1, 2, conditioned=False, seed=0)
    assert examples.augmented(0, [0], [1]).condition.shape == (1, 0, 16, 16)


def test_trains_resumes_and_paints(autoencoder, tmp_path, monkeypatch):
    kind = LdmKind(SETTINGS, autoencoder)

    def trainer(folder):
        torch.manual_seed(0)
        examples = kind.examples(pairs(), 2, 0, training=True)
        network = kind.build(3, (16, 16))
        return Trainer(network, examples, examples, SETTINGS.diffusion, TRAINING, 0, folder)

    unbroken = trainer(tmp_path / "unbroken")
    state = unbroken.run()
    broken = trainer(tmp_path / "broken")
    plain = broken._step
    monkeypatch.setattr(broken, "_step", lambda step, b: 1 / 0 if step == 2 else plain(step, b))
    broken.settings = broken.settings.model_copy(update={"checkpoint_every_s": 0})
    with pytest.raises(ZeroDivisionError):
        broken.run()
    again = trainer(tmp_path / "broken").run()
    assert all(torch.equal(again.weights[name], state.weights[name]) for name in state.weights)

    painter = kind.painter(unbroken.network, 2, True)
    conditions = torch.rand(2, 3, 16, 16)
    noise = [torch.Generator().manual_seed(i) for i in (1, 2)]
    drawn = painter.paint(conditions, noise, SamplerSettings(steps=3, guidance=0.5)).photos
    assert drawn.shape == (2, 3, 16, 16) and drawn.abs().max() <= 1
    assert not torch.equal(drawn[0], drawn[1])


def test_latents_have_no_limits_and_photos_must_fit(autoencoder):
    codec = LdmKind(SETTINGS, autoencoder).codec
    space = latent_space(codec, 16, 8)
    assert (space.channels, space.height, space.width, space.limit) == (2, 8, 4, None)
    with pytest.raises(UserError, match=r"image\.height: got 15"):
        latent_space(codec, 15, 8)


def test_l1_is_the_mean_absolute_error():
    settings = DiffusionSettings(loss="l1")
    schedule = Schedule(make_betas(settings))
    output, x0, epsilon = (torch.randn(2, 2, 4, 4) for _ in range(3))
    defects, t = torch.zeros(2, 4, 4, dtype=torch.bool), torch.tensor([3, 700])
    loss = training_loss(output, x0, epsilon, x0, t, defects, schedule, settings)
    assert loss.total.item() == pytest.approx((output - epsilon).abs().mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("diffusion", {"loss": "hybrid"}, "diffusion.loss mse or l1"),
        ("latents", {"copies": 1}, "latents.copies above 1"),
    ],
)
def test_refuses_settings_that_make_no_sense(section, changes, message):
    content = SETTINGS.model_dump()
    content[section] |= changes
    with pytest.raises(ValidationError, match=message):
        LdmSettings.model_validate(content)


def test_kind_is_read_by_name(autoencoder):
    params = {"image_dm": {"kind": "ldm", "ldm": json.loads(SETTINGS.model_dump_json())}}
    kind = read_image_kind(params, autoencoder)
    assert isinstance(kind, LdmKind) and kind.settings == SETTINGS
    assert set(kind.inputs()) == {"diffusion_pytorch_model.safetensors", "latents.json"}
    with pytest.raises(UserError, match=r"image_dm\.kind: got 'gan', expected one of sdm"):
        read_image_kind({"image_dm": {"kind": "gan"}}, autoencoder)
    assert SdmKind.name == "sdm"
