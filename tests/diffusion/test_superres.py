"""Super-resolution: what it is trained on, its folder, and pairs of a store made larger."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState
from pydantic import ValidationError

from pipeline.data.augmentation import GeometricSettings
from pipeline.data.pairs import Pairs
from pipeline.data.reduction import reduce_pairs
from pipeline.data.sample_store import SyntheticPair, store_pair
from pipeline.diffusion.enlarging import resampled, superresolved
from pipeline.diffusion.pair_kind import pair_layout
from pipeline.diffusion.sampling import SuperresSamplingSettings
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.diffusion.superres import (
    SuperresPainter,
    SuperresSettings,
    load_superres,
    nearest_twice,
    new_network,
    noisy_condition,
)
from pipeline.diffusion.superres_training import SuperresExamples, train_superres
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of, write_image, write_mask
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest
from pipeline.models.conditioning import ConditionSettings
from pipeline.models.superres_unet import SuperresNetworkSettings

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "panicle", (255, 0, 0))]
SETTINGS = SuperresSettings(
    network=SuperresNetworkSettings(width=4, multipliers=[1, 2], blocks=1, heads=2, groups=2),
    diffusion=DiffusionSettings(timesteps=50, prediction="x0", loss="mse"),
    training=TrainingSettings(
        max_steps=4,
        batch_size=2,
        threads=1,
        preview={"every_steps": 4, "count": 2, "steps": 2},
        evaluate_every_steps=2,
    ),
)
UNMOVED = GeometricSettings()
LAYOUT = pair_layout("bits", 2, with_object=False)


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    AcceleratorState._reset_state(reset_partial_state=True)


def pairs(total=3, size=8):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (total, size, size, 3), dtype=np.uint8)
    masks = (rng.random((total, size, size)) > 0.6).astype(np.uint8)
    return Pairs([f"p{i}" for i in range(total)], images, masks, None)


def examples(noise=0.5, augment=UNMOVED):
    return SuperresExamples(pairs(), augment, 0, LAYOUT, noise)


def test_the_condition_is_the_pair_at_half_the_size():
    x0, condition, _ = examples().plain(slice(0, 3))
    assert x0.shape == (3, 4, 8, 8) and condition.shape == (3, 5, 4, 4)
    small = reduce_pairs(pairs(), 2)
    expected, _ = LAYOUT.encode(small.images, small.masks, [None] * 3)
    assert torch.equal(condition[:, :4], expected)
    assert not condition[:, 4].any()  # no noise, and told so


def test_in_training_it_is_noisy_and_tells_how_much():
    plain = examples().plain(slice(0, 3)).condition[:, :4]
    levels = []
    for step in range(60):
        condition = examples().augmented(step, [0, 1], [2, 0]).condition
        level = condition[:, 4]
        assert torch.equal(level.amin((1, 2)), level.amax((1, 2)))
        noise = (condition[:, :4] - plain[[2, 0]]) / level[:, None]
        assert 0.6 < noise.std() < 1.4 and noise.mean().abs() < 0.4
        levels += level[:, 0, 0].tolist()
    assert min(levels) < 0.05 and 0.45 < max(levels) < 0.5
    again = examples().augmented(59, [0, 1], [2, 0]).condition
    assert torch.equal(again, condition)  # a function of step and place


def test_photo_and_its_small_version_move_together():
    moved = examples(0.0, GeometricSettings(vertical_flip=1.0)).augmented(0, [0], [1])
    small, _ = LAYOUT.encode(*reduced_after_flip(1), [None])
    assert torch.equal(moved.condition[:, :4], small)


def reduced_after_flip(index):
    content = pairs()
    flipped = Pairs(["a"], content.images[[index], ::-1], content.masks[[index], ::-1], None)
    small = reduce_pairs(flipped, 2)
    return small.images, small.masks


def test_noise_comes_from_each_pairs_own_generator():
    small = torch.zeros(2, 4, 4, 4)
    generators = [torch.Generator().manual_seed(i) for i in (3, 4)]
    both = noisy_condition(small, torch.tensor([0.1, 0.2]), generators)
    alone = noisy_condition(small[1:], torch.tensor([0.2]), [torch.Generator().manual_seed(4)])
    assert torch.equal(both[1:], alone)


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    folder, rows, content = tmp_path / "prepared", [], pairs(4)
    for index in range(4):
        paths = {"image": f"images/{index}.png", "mask": f"masks/{index}.png"}
        write_image(folder / paths["image"], content.images[index])
        write_mask(folder / paths["mask"], content.masks[index], [c.colour for c in CLASSES])
        rows.append(
            {
                "id": str(index),
                **paths,
                "object": None,
                "split": "val" if index == 3 else "train",
                "classes": ["panicle"],
                "image_sha256": sha256_of(folder / paths["image"]),
                "mask_sha256": sha256_of(folder / paths["mask"]),
            }
        )
    write_manifest(folder, pd.DataFrame(rows))
    write_classes(folder, CLASSES)
    return folder


def train(prepared, out, settings=SETTINGS):
    train_superres("train-superres", prepared, out, settings, ConditionSettings(object=False), 0)


def test_trains_to_a_folder_that_loads(prepared, tmp_path):
    out = tmp_path / "superres"
    train(prepared, out)
    assert (out / "samples/step_000004.png").exists()
    painter, card = load_superres(out, "last", CLASSES, False, (8, 8))
    assert card.settings == SETTINGS and (card.height, card.width) == (8, 8)
    with pytest.raises(UserError, match=r"it draws 8×8"):
        load_superres(out, "last", CLASSES, False, (16, 16))
    with pytest.raises(UserError, match="run train-superres"):
        load_superres(tmp_path / "nothing", "last", CLASSES, False, (8, 8))
    assert painter.layout.total_classes == 2 and painter.layout.channels == 4


def test_each_candidate_has_a_grid_for_the_report(prepared, tmp_path):
    training = SETTINGS.training.model_copy(update={"candidates": ["every"]})
    train(prepared, tmp_path / "out", SETTINGS.model_copy(update={"training": training}))
    grids = {path.name for path in (tmp_path / "out/candidates").iterdir()}
    assert grids == {"best.png", "last.png", "every.png"}


def small_store(folder):
    content = reduce_pairs(pairs(4), 2)
    for index in range(4):
        pair = SyntheticPair(index, 0, f"drawn_{index}", False, ("empty",) if index == 1 else ())
        store_pair(folder, pair, content.images[index], content.masks[index], None, CLASSES)
    return content


def test_resampled_pairs_are_nearest_and_bilinear(tmp_path):
    content = small_store(tmp_path)
    drawn = resampled(tmp_path)(range(4))
    assert drawn[1].rejected == ("empty",) and drawn[2].mask_id == "drawn_2"
    for index, pair in enumerate(drawn):
        assert np.array_equal(pair.mask, nearest_twice(content.masks[index]))
        tensor = torch.from_numpy(content.images[[index]]).permute(0, 3, 1, 2).float()
        expected = torch.nn.functional.interpolate(tensor, scale_factor=2, mode="bilinear")
        got = torch.from_numpy(pair.image).permute(2, 0, 1).float()
        assert (got - expected[0]).abs().max() <= 1


def test_superresolved_pairs_depend_on_seed_and_index_alone(tmp_path):
    small_store(tmp_path)
    torch.manual_seed(0)
    painter = SuperresPainter(new_network(SETTINGS, LAYOUT, (8, 8)), SETTINGS.diffusion, LAYOUT)
    for parameter in painter.network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    settings = SuperresSamplingSettings(
        enabled=True, batch_size=4, condition_noise=0.1, checkpoint="last", sampler="ddim", steps=3
    )
    draw = superresolved(tmp_path, painter, settings, seed=3)
    drawn = draw(range(4))
    assert all(p.image.shape == (8, 8, 3) and p.mask.shape == (8, 8) for p in drawn)
    assert drawn[1].rejected == ("empty",) and drawn[3].mask_id == "drawn_3"
    again = draw([2])[0]
    assert np.abs(again.image.astype(int) - drawn[2].image).max() <= 1
    other = superresolved(tmp_path, painter, settings, seed=4)([2])[0]
    assert not np.array_equal(other.image, drawn[2].image)
    assert not np.array_equal(drawn[0].image, drawn[1].image)


def test_colours_cannot_choose_its_weights():
    content = json.loads(SETTINGS.model_dump_json())
    content["training"] |= {
        "monitor": "colour_divergence",
        "colour_divergence": {"every_steps": 2},
    }
    with pytest.raises(ValidationError, match="without colour_divergence"):
        SuperresSettings.model_validate(content)
