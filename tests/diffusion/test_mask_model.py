"""Mask models: what they train on, their training and folder, what they draw."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState

from pipeline.data.augmentation import GeometricSettings
from pipeline.data.label_maps import join_labels
from pipeline.data.pairs import Pairs
from pipeline.diffusion.mask_examples import LabelExamples, encoded_labels
from pipeline.diffusion.mask_kinds import LatentMaskSettings, PixelMaskSettings
from pipeline.diffusion.mask_model import MaskSamplingSettings, load_mask_model
from pipeline.diffusion.mask_training import read_mask_training, train_mask_model
from pipeline.io.errors import UserError
from pipeline.io.images import read_image, sha256_of, write_image, write_mask, write_silhouette
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest
from pipeline.io.params import parse
from pipeline.masks.plausibility import faults, learn
from pipeline.models.autoencoder import (
    AutoencoderNetworkSettings,
    MaskCodec,
    build_autoencoder,
    write_codec,
)
from pipeline.models.label_codes import label_code
from pipeline.training.grids import LABEL_WIDTH

CLASSES = [
    ClassInfo(0, "background", (0, 0, 0)),
    ClassInfo(1, "rust", (255, 0, 0)),
    ClassInfo(2, "dent", (0, 0, 255)),
]
SIZE = 16
AUGMENT = {"horizontal_flip": 0.5, "shift": 0.1}
PIXEL = {
    "code": "one_hot",
    "network": {"width": 16, "multipliers": [1, 2], "blocks": 1, "head_channels": 16, "groups": 4},
    "diffusion": {"timesteps": 100, "schedule": "cosine", "prediction": "x0", "loss": "mse"},
    "training": {
        "max_steps": 4,
        "batch_size": 4,
        "learning_rate": 0.002,
        "ema_decay": 0.9,
        "threads": 1,
        "augment": AUGMENT,
        "evaluate_every_steps": 2,
        "log_every_steps": 2,
        "preview": {"every_steps": 4, "count": 2, "steps": 3},
    },
}
LATENT = {name: block for name, block in PIXEL.items() if name != "code"} | {
    "latents": {"copies": 3}
}


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    """Accelerate keeps its precision for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)


def pairs(total=6, seed=0):
    """A square object with a spot of one class on it."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((total, SIZE, SIZE), np.uint8)
    objects = np.zeros((total, SIZE, SIZE), bool)
    objects[:, 3:13, 3:13] = True
    for index, (row, column) in enumerate(rng.integers(4, 9, (total, 2))):
        masks[index, row : row + 3, column : column + 3] = 1 + index % 2
    images = np.repeat(objects[..., None] * np.uint8(180), 3, axis=3)
    return Pairs([f"photo_{i}" for i in range(total)], images, masks, objects)


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A prepared set of six training and three validation pairs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    folder = tmp_path / "data/prepared"
    rows = []
    for split, content in (("train", pairs()), ("val", pairs(3, seed=1))):
        for index in range(len(content)):
            files = {k: f"{k}s/{split}_{index}.png" for k in ("image", "mask", "object")}
            write_image(folder / files["image"], content.images[index])
            colours = [item.colour for item in CLASSES]
            write_mask(folder / files["mask"], content.masks[index], colours)
            write_silhouette(folder / files["object"], content.objects[index])
            hashes = {f"{k}_sha256": sha256_of(folder / files[k]) for k in ("image", "mask")}
            named = {"id": f"{split}_{index}", "split": split, "classes": ["rust"]}
            rows.append(named | files | hashes)
    write_manifest(folder, pd.DataFrame(rows))
    write_classes(folder, CLASSES)
    return folder


@pytest.fixture
def autoencoder(tmp_path):
    """An untrained autoencoder of four labels, by a factor of 2."""
    folder = tmp_path / "data/models/mask_autoencoder"
    folder.mkdir(parents=True)
    write_untrained(folder, 4)
    return folder


def write_untrained(folder, total_labels, seed=0):
    torch.manual_seed(seed)
    settings = AutoencoderNetworkSettings(
        kind="vq", width=8, multipliers=[1, 1], blocks=1, latent_channels=2, codebook_size=16,
        groups=4,
    )  # fmt: skip
    network = build_autoencoder(settings, total_labels)
    code = label_code("one_hot", total_labels)
    write_codec(folder, MaskCodec(network, torch.zeros(2), torch.ones(2), code), "one_hot")


def train(out, kind="pixel", with_object=True, autoencoder=Path("none"), **training):
    blocks = {"pixel": PIXEL, "latent": LATENT}
    block = blocks[kind] | {"training": blocks[kind]["training"] | training}
    params = {
        "seed": 0,
        "condition": {"object": with_object},
        "mask_dm": {"kind": kind, "check_count": 5, kind: block},
    }
    train_mask_model(
        "train-mask-dm",
        Path("data/prepared"),
        autoencoder,
        out,
        read_mask_training(params),
        lambda known: partial(faults, real=learn(known.masks, known.objects)),
    )


def load(out, known, autoencoder=Path("none"), classes=CLASSES):
    return load_mask_model(out, "last", autoencoder, classes, known)


def sampling(**changes):
    content = {"checkpoint": "last", "steps": 4} | changes
    return parse(MaskSamplingSettings, "masks.diffusion.sampling", content)


def test_label_maps_are_encoded_as_they_are_or_moved():
    known, code = pairs(), label_code("one_hot", 4)
    examples = LabelExamples(known, 3, code.encode, GeometricSettings(**AUGMENT), 7)
    x0, condition, defects = examples.plain(slice(1, 3))
    labels = join_labels(known.masks, known.objects, 3)[1:3]
    assert np.array_equal(code.decode(x0).numpy(), labels)
    assert condition.shape == (2, 0, SIZE, SIZE)
    assert np.array_equal(defects.numpy(), known.masks[1:3] > 0)

    moved = examples.augmented(5, [0, 1], [2, 2])
    again = examples.augmented(5, [1], [2])
    assert torch.equal(moved.x0[1], again.x0[0])  # its place decides, not what is beside it
    assert not torch.equal(moved.x0[0], moved.x0[1])
    drawn = code.decode(moved.x0).numpy()
    assert set(np.unique(drawn)) == {0, 1, 3}  # photo_2 shows class 1, and 3 is the bare object
    assert np.array_equal(moved.defects.numpy(), drawn == 1)


def test_latents_are_of_each_map_and_its_moved_copies():
    known, code = pairs(), label_code("one_hot", 4)
    examples = encoded_labels(known, 3, code.encode, GeometricSettings(**AUGMENT), 3, 7)
    assert len(examples) == 6
    assert len(examples.x0) == 18
    plain = examples.plain(slice(0, 6))
    labels = join_labels(known.masks, known.objects, 3)
    assert np.array_equal(code.decode(plain.x0).numpy(), labels)
    assert plain.condition.shape[1] == 0
    assert np.array_equal(plain.defects.numpy(), known.masks > 0)
    copies = {examples.augmented(step, [0], [2]).x0.numpy().tobytes() for step in range(30)}
    assert len(copies) == 3


@pytest.mark.parametrize("kind", ["pixel", "latent"])
def test_a_trained_model_s_folder(prepared, autoencoder, tmp_path, kind, capsys):
    out = tmp_path / "data/models/mask_dm"
    train(out, kind, autoencoder=autoencoder)
    assert "of 5 drawn masks are implausible" in capsys.readouterr().out
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {"curve.csv", "settings.json", "samples/step_000004.png"} <= names
    assert {f"{name}/config.json" for name in ("best", "last")} <= names
    figures = json.loads((out / "training.json").read_text())
    assert figures["checked"] == 5
    assert figures["implausible"] == sum(figures["faults"].values())
    assert figures["implausible_share"] == figures["implausible"] / 5
    curve = pd.read_csv(out / "curve.csv")
    assert curve["step"].tolist() == [2, 4]
    assert curve["val_loss"].notna().all()

    model = load(out, pairs(), autoencoder)
    drawn = model.draw([3, 4, 5], sampling())
    for mask, silhouette in drawn:
        assert mask.shape == silhouette.shape == (SIZE, SIZE)
        assert mask.dtype == np.uint8
        assert mask.max() < 3
        assert silhouette[mask > 0].all()
    again = model.draw([9, 4, 1], sampling())
    assert np.array_equal(drawn[1][0], again[1][0])  # its seed decides, not its neighbours'
    assert np.array_equal(drawn[1][1], again[1][1])


def test_each_candidate_has_a_grid_for_the_report(prepared, tmp_path):
    train(tmp_path / "out", candidates=["every"])
    grids = {path.name for path in (tmp_path / "out/candidates").iterdir()}
    assert grids == {"best.png", "last.png", "every.png"}


def test_two_trainings_write_the_same_bytes(prepared, tmp_path):
    for name in ("one", "two"):
        train(tmp_path / name)
        shutil.rmtree(tmp_path / ".checkpoints")
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(files) > 8
    for file in files:
        assert sha256_of(tmp_path / "one" / file) == sha256_of(tmp_path / "two" / file), file


def test_grids_show_real_masks_above_drawn_ones(prepared, tmp_path):
    train(tmp_path / "out")
    grid = read_image(tmp_path / "out/samples/step_000004.png")
    factor = 6  # 16 px are enlarged to 96
    tile = grid[: SIZE * factor : factor, LABEL_WIDTH : LABEL_WIDTH + SIZE * factor : factor]
    first = pairs(3, seed=1)  # the validation pairs; two of three are shown
    painted = np.array([item.colour for item in CLASSES], np.uint8)[first.masks[0]]
    region = first.masks[0] > 0
    assert np.array_equal(tile[region], painted[region])
    assert (tile[first.objects[0] & ~region] == tile[3, 3]).all()
    assert tile[0, 0].tolist() == [0, 0, 0]


def test_without_silhouettes_masks_alone_are_drawn(prepared, tmp_path):
    train(tmp_path / "out", with_object=False)
    known = pairs()
    known = Pairs(known.ids, known.images, known.masks, None)
    model = load(tmp_path / "out", known)
    assert model.network.config.channels == 3
    assert all(silhouette is None for _, silhouette in model.draw([1, 2], sampling()))


def test_the_model_learns_the_masks_it_is_shown(prepared, tmp_path):
    frame = pd.read_parquet(prepared / "manifest.parquet")
    one = frame.assign(
        **frame.iloc[0].drop(["id", "split"]).to_dict() | {"classes": [["rust"]] * 9}
    )
    one.to_parquet(prepared / "manifest.parquet")
    train(tmp_path / "out", max_steps=150, augment={}, preview={"steps": 5})
    drawn = load(tmp_path / "out", pairs()).draw(list(range(8)), sampling(steps=8))
    wrong = [(mask != pairs().masks[0]).mean() for mask, _ in drawn]
    assert np.mean(wrong) < 0.03  # a mask without its spot would be 0.035
    assert np.mean([(o != pairs().objects[0]).mean() for _, o in drawn]) < 0.03
    assert json.loads((tmp_path / "out/training.json").read_text())["implausible_share"] <= 0.2


def test_other_data_and_another_autoencoder_are_refused(prepared, autoencoder, tmp_path):
    train(tmp_path / "out", "latent", autoencoder=autoencoder)
    known = pairs()
    with pytest.raises(UserError, match="masks of other classes than"):
        load(tmp_path / "out", known, autoencoder, CLASSES[:2])
    bare = Pairs(known.ids, known.images[:, :8], known.masks[:, :8], None)
    with pytest.raises(UserError, match="masks of other silhouettes and size than"):
        load(tmp_path / "out", bare, autoencoder)
    write_untrained(autoencoder, 4, seed=1)
    with pytest.raises(UserError, match="on another autoencoder than"):
        load(tmp_path / "out", known, autoencoder)
    write_untrained(autoencoder, 3)
    with pytest.raises(UserError, match="trained for 3 labels, expected 4"):
        train(tmp_path / "again", "latent", autoencoder=autoencoder)


def test_silhouettes_that_the_set_lacks_are_named(prepared, tmp_path):
    frame = pd.read_parquet(prepared / "manifest.parquet").assign(object=None)
    frame.to_parquet(prepared / "manifest.parquet")
    with pytest.raises(UserError, match=r"condition\.object: got true, but .* has no silhouettes"):
        train(tmp_path / "out")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (PIXEL | {"training": PIXEL["training"] | {"drop_rate": 0.1}}, "drop_rate 0: a mask model"),
        (PIXEL | {"diffusion": {"defect_weight": 3.0, "loss": "mse"}}, "defect_weight 1: a mask"),
        (PIXEL | {"code": "rgb"}, r"pixel\.code: got 'rgb'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(block, message):
    with pytest.raises(UserError, match=message):
        parse(PixelMaskSettings, "mask_dm.pixel", block)


def test_latent_settings_that_make_no_sense_are_refused():
    hybrid = LATENT | {"diffusion": LATENT["diffusion"] | {"loss": "hybrid"}}
    with pytest.raises(UserError, match="loss mse or l1"):
        parse(LatentMaskSettings, "mask_dm.latent", hybrid)
    with pytest.raises(UserError, match=r"latents\.copies above 1"):
        parse(LatentMaskSettings, "mask_dm.latent", LATENT | {"latents": {"copies": 1}})


def test_guidance_of_masks_is_refused():
    with pytest.raises(UserError, match=r"masks\.diffusion\.sampling: .*guidance 0"):
        sampling(guidance=0.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "vector", "check_count": 3}, r"mask_dm\.kind: got 'vector', expected latent or"),
        ({"kind": "pixel", "check_count": 0}, r"mask_dm\.check_count: got 0"),
    ],
)
def test_wrong_choices_are_named(content, message):
    with pytest.raises(UserError, match=message):
        read_mask_training({"seed": 0, "mask_dm": content})


def test_an_unused_mask_model_is_quick_and_imports_nothing_heavy(tmp_path):
    (tmp_path / "params.yaml").write_text(json.dumps({"masks": {"source": "augmented"}}))
    script = (
        "import sys, stages.train_mask_dm as stage; stage.main();"
        "heavy = {'torch', 'diffusers', 'pandas', 'numpy', 'accelerate'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "train-mask-dm: not used, masks.source is augmented\n"
    written = json.loads((tmp_path / "data/models/mask_dm/unused.json").read_text())
    assert written == {"used": False, "reason": "masks.source is augmented"}
