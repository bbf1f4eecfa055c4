"""The kind `pair`: examples, settings, training with and without discriminator, drawing."""

import json

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from pydantic import ValidationError

from pipeline.data.augmentation import GeometricSettings
from pipeline.data.label_maps import join_labels
from pipeline.data.pairs import Pairs
from pipeline.diffusion.adversary import AdversarySettings
from pipeline.diffusion.drawing import sample_seed, with_masks
from pipeline.diffusion.image_kinds import IMAGE_SETTINGS, read_image_kind
from pipeline.diffusion.losses import training_loss
from pipeline.diffusion.model_folder import ModelCard
from pipeline.diffusion.pair_kind import PairKind, PairSettings, pair_layout
from pipeline.diffusion.previews import Preview, PreviewSettings
from pipeline.diffusion.sampling import SamplerSettings
from pipeline.diffusion.schedules import DiffusionSettings, Schedule, make_betas
from pipeline.diffusion.training import Trainer
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.manifests import ClassInfo
from pipeline.models.label_codes import label_code
from pipeline.models.pair_unet import PairNetworkSettings
from pipeline.models.timed_discriminator import DiscriminatorNetworkSettings
from pipeline.training.grids import GAP, LABEL_WIDTH, SMALLEST_TILE
from pipeline.training.state import STATE_FILE, read_state

CLASSES = [
    ClassInfo(0, "background", (0, 0, 0)),
    ClassInfo(1, "scratch", (255, 0, 0)),
    ClassInfo(2, "dent", (0, 255, 0)),
]
AUGMENT = GeometricSettings(horizontal_flip=0.5, vertical_flip=0.5)
SETTINGS = PairSettings(
    network=PairNetworkSettings(width=4, multipliers=[1, 2], blocks=1, heads=2, groups=2),
    diffusion=DiffusionSettings(timesteps=50, prediction="epsilon", loss="mse"),
    training=TrainingSettings(
        max_steps=6, batch_size=2, learning_rate=1e-2, threads=1, augment=AUGMENT, log_every_steps=2
    ),
    discriminator=AdversarySettings(
        network=DiscriminatorNetworkSettings(width=4, multipliers=[1, 2], blocks=1, groups=2)
    ),
)


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    AcceleratorState._reset_state(reset_partial_state=True)


def pairs(total=3, size=8, objects=True):
    rng = np.random.default_rng(0)
    masks = np.zeros((total, size, size), np.uint8)
    masks[:, 2:4, 3:5] = 1
    masks[1:, 5, 5] = 2
    images = rng.integers(0, 256, (total, size, size, 3), dtype=np.uint8)
    silhouettes = np.zeros(masks.shape, bool)
    silhouettes[:, 1:7, 1:7] = True
    return Pairs([f"p{i}" for i in range(total)], images, masks, silhouettes if objects else None)


def changed(discriminator=False, **network):
    content = SETTINGS.model_dump()
    content["network"] |= network
    content["discriminator"]["enabled"] = discriminator
    return PairSettings.model_validate(content)


def trainer(folder, settings):
    kind, content = PairKind(settings, folder), pairs()
    torch.manual_seed(0)
    network, extras = kind.build(4, (8, 8)), kind.extras(4, (8, 8))
    examples = kind.examples(content, 3, 0, training=True)
    return Trainer(
        network, examples, None, settings.diffusion, settings.training, 0, folder, extras
    )


@pytest.mark.parametrize(("code", "channels"), [("bits", 2), ("one_hot", 4)])
def test_photo_and_labels_are_the_channels_of_one_tensor(code, channels):
    settings = SETTINGS.model_copy(update={"code": code})
    examples = PairKind(settings, None).examples(pairs(), 3, seed=0, training=False)
    x0, condition, defects = examples.plain(slice(0, 3))
    assert x0.shape == (3, 3 + channels, 8, 8) and condition.shape == (3, 0, 8, 8)
    photos = torch.from_numpy(pairs().images).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(x0[:, :3], photos)
    labels = join_labels(pairs().masks, pairs().objects, 3)
    expected = label_code(code, 4).encode(torch.from_numpy(labels))
    assert torch.equal(x0[:, 3:], expected)
    assert torch.equal(defects, torch.from_numpy(pairs().masks > 0))


@pytest.mark.parametrize("objects", [True, False])
def test_what_is_encoded_is_decoded(objects):
    content = pairs(objects=objects)
    layout = pair_layout("bits", 3, objects)
    outlines = content.objects if objects else [None] * 3
    x, _ = layout.encode(content.images, content.masks, outlines)
    photos, labels = layout.decode(x + 0.3 * torch.randn(x.shape).clamp(-1, 1))
    masks, silhouettes = layout.split(labels)
    assert np.array_equal(masks, content.masks)
    assert photos.shape == (3, 3, 8, 8)
    if objects:
        assert np.array_equal(silhouettes, content.objects | (content.masks > 0))
    else:
        assert silhouettes is None


def test_augmentation_moves_photo_and_labels_together():
    flipped = SETTINGS.training.model_copy(
        update={"augment": GeometricSettings(horizontal_flip=1.0)}
    )
    kind = PairKind(SETTINGS.model_copy(update={"training": flipped}), None)
    plain = kind.examples(pairs(), 3, 0, training=False).plain(slice(0, 3)).x0
    moved = kind.examples(pairs(), 3, 0, training=True).augmented(4, [0, 1], [2, 0]).x0
    assert torch.equal(moved, plain[[2, 0]].flip(3))


def test_the_mask_weighs_what_is_asked():
    settings = SETTINGS.model_copy(update={"mask_weight": 4.0})
    weights = settings.channel_weights(2)
    assert weights.mean().item() == pytest.approx(1)
    assert (weights[3] / weights[0]).item() == pytest.approx(4)
    assert torch.equal(SETTINGS.channel_weights(1), torch.ones(4))  # the paper: a quarter of all
    schedule = Schedule(make_betas(SETTINGS.diffusion))
    epsilon, output = torch.zeros(2, 5, 4, 4), torch.zeros(2, 5, 4, 4)
    output[:, 3:] = 1.0  # errs in the mask alone
    t, defects = torch.tensor([3, 30]), torch.zeros(2, 4, 4, dtype=torch.bool)
    arguments = (output, epsilon, epsilon, epsilon, t, defects, schedule, SETTINGS.diffusion)
    assert training_loss(*arguments).total.item() == pytest.approx(2 / 5)
    assert training_loss(*arguments, weights).total.item() == pytest.approx(8 / 11)


@pytest.mark.parametrize("architecture", ["concat", "shared_encoder", "two_encoder"])
@pytest.mark.parametrize("discriminator", [False, True])
def test_resumes_bit_for_bit(tmp_path, monkeypatch, architecture, discriminator):
    settings = changed(discriminator, architecture=architecture)
    unbroken = trainer(tmp_path / "unbroken", settings).run()
    broken = trainer(tmp_path / "broken", settings)
    broken.settings = broken.settings.model_copy(update={"checkpoint_every_s": 0})
    plain = broken._step
    monkeypatch.setattr(broken, "_step", lambda step, b: 1 / 0 if step == 4 else plain(step, b))
    with pytest.raises(ZeroDivisionError):
        broken.run()
    again = trainer(tmp_path / "broken", settings).run()
    for group in ("weights", "average", "optimiser", "adversary"):
        ours, theirs = getattr(again, group), getattr(unbroken, group)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), group
    saved = read_state(tmp_path / "unbroken" / STATE_FILE)
    assert bool(saved.adversary) == discriminator
    assert again.record.curve == unbroken.record.curve
    assert ("loss_discriminator" in again.record.columns) == discriminator


def test_the_discriminator_changes_what_is_learnt(tmp_path):
    alone, against = (trainer(tmp_path / str(d), changed(d)).run() for d in (False, True))
    assert any(not torch.equal(alone.weights[n], against.weights[n]) for n in alone.weights)
    row = against.record.curve[-1]
    named = dict(zip(against.record.columns, row, strict=True))
    assert named["loss_adversarial"] > 0 and named["loss_discriminator"] > 0
    assert named["loss"] == pytest.approx(
        named["loss_simple"] + named["loss_vb"] + named["loss_adversarial"]
    )


def test_a_batch_in_parts_is_judged_as_a_whole(tmp_path, monkeypatch):
    settings = changed(discriminator=True)
    total = settings.training.batch_size
    parts = settings.training.model_copy(update={"accumulation": total})
    settings = settings.model_copy(update={"training": parts})
    training, learnt = trainer(tmp_path, settings), []
    learn = training.adversary.learn

    def noted(real, fake, t):
        learnt.append((real.clone(), fake.clone(), t.clone()))
        return learn(real, fake, t)

    monkeypatch.setattr(training.adversary, "learn", noted)
    row = training.run().record.curve[-1]
    assert len(learnt) == training.total_steps
    for real, fake, t in learnt:
        assert len(real) == len(fake) == len(t) == total
        assert len(real.unique(dim=0)) == total  # each part has noise of its own
    named = dict(zip(training.record.columns, row, strict=True))
    assert named["loss"] == pytest.approx(
        named["loss_simple"] + named["loss_vb"] + named["loss_adversarial"]
    )


def test_pairs_are_drawn_with_their_masks(tmp_path):
    kind = PairKind(SETTINGS, None)
    painter = kind.painter(kind.build(4, (8, 8)), 3, with_object=True)
    card = ModelCard("pair", SETTINGS, {}, CLASSES, True, 8, 8, 0)
    draw = with_masks(painter, card, SamplerSettings(steps=3), seed=7)
    drawn = draw(range(4))
    assert [pair.mask_id for pair in drawn[:2]] == ["drawn_000000", "drawn_000001"]
    for pair in drawn:
        assert pair.image.shape == (8, 8, 3) and pair.mask.shape == (8, 8)
        assert pair.object.dtype == bool and not (pair.mask[~pair.object] > 0).any()
        assert pair.mask.max() <= 2
    noise = torch.Generator().manual_seed(sample_seed(7, 2))
    alone = painter.paint(torch.zeros(1, 0, 8, 8), [noise], SamplerSettings(steps=3))
    assert np.abs(alone.photos[0, 0].numpy() - (drawn[2].image[..., 0] / 127.5 - 1)).max() < 0.01


def test_the_grid_shows_drawn_masks():
    kind = PairKind(SETTINGS, None)
    painter = kind.painter(kind.build(4, (8, 8)), 3, with_object=True)
    preview = Preview(
        pairs(), [c.colour for c in CLASSES], PreviewSettings(count=2, steps=2), 0, painter
    )
    # mask, real, drawn, its mask: four rows of two tiles each
    assert preview.grid().shape == (
        4 * (SMALLEST_TILE + GAP), LABEL_WIDTH + 2 * (SMALLEST_TILE + GAP), 3,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("training", {"drop_rate": 0.1}, "training.drop_rate 0"),
        ("diffusion", {"defect_weight": 2.0}, "diffusion.defect_weight 1"),
        ("diffusion", {"loss": "hybrid"}, "diffusion.loss mse or l1"),
        ("network", {"architecture": "three_encoder"}, "architecture"),
    ],
)
def test_refuses_settings_that_make_no_sense(section, changes, message):
    content = SETTINGS.model_dump()
    content[section] |= changes
    with pytest.raises(ValidationError, match=message):
        PairSettings.model_validate(content)


def test_kind_is_read_by_name():
    content = json.loads(SETTINGS.model_dump_json())
    kind = read_image_kind({"image_dm": {"kind": "pair", "pair": content}}, None)
    assert isinstance(kind, PairKind) and kind.settings == SETTINGS
    assert IMAGE_SETTINGS["pair"] is PairSettings
