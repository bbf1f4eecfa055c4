"""filter-unet, compose-mixes and train-segmenters on a set of bright squares, in seconds."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from pipeline.evaluation.overlap import stack_counts
from pipeline.io.errors import UserError
from pipeline.io.images import read_mask, sha256_of, write_image, write_mask
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest
from pipeline.models.segmenters import Segmenter
from pipeline.segmentation import judges, training
from stages import compose_mixes, filter_unet, train_segmenters

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "mould", (9, 200, 30))]
NETWORK = {"encoder": "tu-tf_mobilenetv3_small_minimal_100", "encoder_weights": None}
TRAINING = {
    "learning_rate": 0.003,
    "batch_size": 4,
    "budget": {"unit": "steps", "amount": 4},
    "validate_every_steps": 2,
}
IMAGE = np.zeros((32, 32, 3), np.uint8)
PARAMS = {
    "seed": 0,
    "filter": {"score": "miou", "keep": 4, "network": NETWORK, "training": TRAINING},
    "segmenters": {
        "baseline": "real_all",
        "network": NETWORK,
        "training": TRAINING | {"seeds": 2},
        "augmentation": {"horizontal_flip": 0.5},
        "pasting": {"horizontal_flip": 0.5, "scale": [0.8, 1.25]},
        "mixes": {
            "real_all": {"real": "all", "synthetic": 0},
            "real_4-synthetic_all": {"real": 4, "synthetic": "all", "augment": True},
            "real_4-repeated": {"real": 4, "synthetic": 0, "repeated": "equal"},
            "real_4-pasted": {"real": 4, "synthetic": 0, "pasted": 5},
        },
    },
}


def write_set(folder: Path, prefix: str, parts: list[str]) -> None:
    rng = np.random.default_rng(len(parts))
    rows = []
    for index, part in enumerate(parts):
        image = rng.integers(60, 120, size=(32, 32, 3)).astype(np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        top, left = rng.integers(0, 16, size=2)
        image[top : top + 14, left : left + 14], mask[top : top + 14, left : left + 14] = 230, 1
        name = f"{prefix}_{index:06d}"
        row = {"id": name, "image": f"images/{name}.png", "mask": f"masks/{name}.png"}
        write_image(folder / row["image"], image)
        write_mask(folder / row["mask"], mask, [item.colour for item in CLASSES])
        hashes = {f"{kind}_sha256": sha256_of(folder / row[kind]) for kind in ("image", "mask")}
        rows.append(row | hashes | {"object": None, "classes": ["mould"], "split": part})
    frame = pd.DataFrame(rows)
    write_classes(folder, CLASSES)
    if prefix == "synthetic":
        # two masks of each of the first photos, and one of no photo
        mask_ids = [f"real_{index // 2:06d}" for index in range(len(rows) - 1)] + ["drawn_000005"]
        write_manifest(folder, frame.drop(columns="split").assign(mask_id=mask_ids))
    else:
        write_manifest(folder, frame.assign(group=[str(index // 2) for index in range(len(rows))]))


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A working folder with parameters, a prepared and a synthetic set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_params(PARAMS)
    write_set(Path("data/prepared"), "real", ["train"] * 8 + ["val"] * 3 + ["test"] * 4)
    write_set(Path("data/synthetic"), "synthetic", ["train"] * 6)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def write_params(params: dict) -> None:
    with Path("params.yaml").open("w") as file:
        YAML().dump(params, file)


def run(stage, monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [stage.__name__, *arguments])
    stage.main()


def compose(monkeypatch) -> None:
    run(filter_unet, monkeypatch)
    run(compose_mixes, monkeypatch)


def keep_mixes(*names: str) -> None:
    """Parameters with these mixes alone."""
    mixes = {name: PARAMS["segmenters"]["mixes"][name] for name in names}
    baseline = {"baseline": names[0]}
    write_params(PARAMS | {"segmenters": PARAMS["segmenters"] | baseline | {"mixes": mixes}})


def hashes(folder: Path) -> dict[str, str]:
    """Of all files."""
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_from_samples_to_counts(project, monkeypatch):
    compose(monkeypatch)
    scores = pd.read_parquet("data/filtered/scores.parquet")
    assert scores["kept"].sum() == 4
    assert not Path("data/filtered/real_scores.parquet").exists()  # no strangers to judge them
    mix = pd.read_parquet("data/mixes/real_4-synthetic_all/manifest.parquet")
    sizes = mix.groupby(["part", "origin"]).size().to_dict()
    assert sizes == {
        ("train", "real"): 4, ("train", "synthetic"): 4, ("val", "real"): 3, ("test", "real"): 4,
    }  # fmt: skip
    kept = set(scores.loc[scores["kept"], "id"])
    assert set(mix.loc[mix["origin"] == "synthetic", "id"]) == kept

    run(train_segmenters, monkeypatch, "fpn", "real_4-synthetic_all")
    folder = Path("data/models/segmenters/fpn-real_4-synthetic_all")
    counts = pd.read_parquet(folder / "counts.parquet")
    assert len(counts) == 2 * 4 * 2  # seeds, test pairs, classes
    stacked = stack_counts(counts[counts["seed"] == 1])
    truths = [read_mask(Path("data/prepared/masks") / f"real_{i:06d}.png") for i in range(11, 15)]
    assert (stacked[:, 1, 0] + stacked[:, 1, 2]).tolist() == [mask.sum() for mask in truths]
    assert (stacked.sum(axis=2) == 32 * 32).all()
    curve = pd.read_csv(folder / "curve.csv")
    assert curve["step"].tolist() == [2, 4, 2, 4]
    assert Segmenter.from_pretrained(folder / "seed_1").config["architecture"] == "fpn"
    assert (folder / "examples.png").exists()


def test_same_parameters_same_bytes_and_nothing_left_behind(project, monkeypatch):
    results = []
    for _ in range(2):
        compose(monkeypatch)
        run(train_segmenters, monkeypatch, "deeplabv3plus", "real_4-synthetic_all")
        results.append(hashes(Path("data/models")) | hashes(Path("data/mixes")))
        shutil.rmtree("data/models")
        assert len(list(Path(".checkpoints/train-segmenters").glob("*/finished"))) == 1
        shutil.rmtree(".checkpoints")
    assert results[0] == results[1]


def test_killed_stage_resumes_at_the_seed(project, monkeypatch):
    keep_mixes("real_all")
    run(compose_mixes, monkeypatch)
    run(train_segmenters, monkeypatch, "unet", "real_all")
    expected = hashes(Path("data/models"))
    shutil.rmtree("data/models")
    shutil.rmtree(".checkpoints")
    train_step, steps = training._Trainer._train_step, []

    def step_or_die(trainer, step):
        steps.append(step)
        if len(steps) == 6:  # in the second seed
            raise KeyboardInterrupt
        return train_step(trainer, step)

    monkeypatch.setattr(training._Trainer, "_train_step", step_or_die)
    with pytest.raises(KeyboardInterrupt):
        run(train_segmenters, monkeypatch, "unet", "real_all")
    assert not Path("data/models").exists()
    run(train_segmenters, monkeypatch, "unet", "real_all")
    assert steps[6:] == [0, 1, 2, 3]  # the second seed alone
    assert hashes(Path("data/models")) == expected


def test_real_mix_does_not_change_with_the_samples(project, monkeypatch):
    compose(monkeypatch)
    before = hashes(Path("data/mixes/real_all"))
    write_set(Path("data/synthetic"), "synthetic", ["train"] * 9)
    compose(monkeypatch)
    assert hashes(Path("data/mixes/real_all")) == before


def test_arms_of_real_pairs_alone(project, monkeypatch):
    """They need neither samples nor scores; pasted pairs are files of the mix, hashed like all."""
    shutil.rmtree("data/synthetic")
    keep_mixes("real_all", "real_4-repeated", "real_4-pasted")
    run(compose_mixes, monkeypatch)
    before = hashes(Path("data/mixes"))
    run(compose_mixes, monkeypatch)
    assert hashes(Path("data/mixes")) == before
    for mix, arm, total in (("real_4-repeated", "repeated", 8), ("real_4-pasted", "pasted", 5)):
        rows = pd.read_parquet(f"data/mixes/{mix}/manifest.parquet")
        sizes = rows[rows["part"] == "train"].groupby("origin").size().to_dict()
        assert sizes == {"real": 4, arm: total}
        run(train_segmenters, monkeypatch, "unet", mix)
        counts = pd.read_parquet(f"data/models/segmenters/unet-{mix}/counts.parquet")
        assert counts["id"].nunique() == 4  # the real test pairs
    masks = [read_mask(path) for path in Path("data/mixes/real_4-pasted/masks").iterdir()]
    assert len(masks) == 5 and all(mask.any() for mask in masks)
    write_image(Path("data/mixes/real_4-pasted/images/pasted_000002.png"), IMAGE)
    with pytest.raises(UserError, match="pasted_000002"):
        run(train_segmenters, monkeypatch, "unet", "real_4-pasted")


def test_filter_off_keeps_all(project, monkeypatch):
    write_params(PARAMS | {"filter": {"score": "none", "keep": "all"}})
    run(filter_unet, monkeypatch)
    scores = pd.read_parquet("data/filtered/scores.parquet")
    assert scores["kept"].all()
    assert len(scores) == 6
    assert not Path(".checkpoints").exists()


def test_the_floor_alone_trains_nothing(project, monkeypatch):
    shares = 14 * 14 / 32**2
    for floor, kept in ((shares, 6), (shares + 0.01, 0)):
        write_params(PARAMS | {"filter": {"score": "none", "minimal_defect_share": floor}})
        if kept:
            run(filter_unet, monkeypatch)
            scores = pd.read_parquet("data/filtered/scores.parquet")
            assert scores["defect_share"].tolist() == pytest.approx([shares] * 6)
            assert scores["kept"].sum() == kept
        else:
            with pytest.raises(UserError, match="none of 6 synthetic pairs reaches"):
                run(filter_unet, monkeypatch)
    assert not Path(".checkpoints").exists()


def test_out_of_fold_scores_come_from_the_rest(project, monkeypatch):
    """No U-Net is trained on a photo of the fold whose masks it judges; killed, it goes on."""
    write_params(PARAMS | {"filter": PARAMS["filter"] | {"folds": 2}})
    trained_on, train = [], judges.train_segmenter

    def watch(architecture, network, settings, data, *rest):
        if len(trained_on) == 1:
            trained_on.append([])
            raise KeyboardInterrupt
        trained_on.append(data.train.ids)
        return train(architecture, network, settings, data, *rest)

    monkeypatch.setattr(judges, "train_segmenter", watch)
    with pytest.raises(KeyboardInterrupt):
        run(filter_unet, monkeypatch)
    assert not Path("data/filtered").exists()
    states = list(Path(".checkpoints/filter-unet").rglob("*.safetensors"))
    assert [path.name for path in states] == ["unet_without_fold_0_of_2.safetensors"]
    before = states[0].stat().st_mtime_ns
    run(filter_unet, monkeypatch)
    assert states[0].stat().st_mtime_ns == before

    scores = pd.read_parquet("data/filtered/scores.parquet").set_index("id")
    masks = pd.read_parquet("data/synthetic/manifest.parquet").set_index("id")["mask_id"]
    assert scores["fold"].isna().tolist() == [False] * 5 + [True]
    without = dict(enumerate(trained_on[2:]))
    for name, fold in scores["fold"].dropna().items():
        assert masks[name] not in without[fold]
    assert sorted(without[0] + without[1]) == [f"real_{index:06d}" for index in range(8)]
    assert scores[["miou", "defect_iou", "cross_entropy"]].notna().all(axis=None)

    real = pd.read_parquet("data/filtered/real_scores.parquet").set_index("id")
    assert real.index.tolist() == [f"real_{index:06d}" for index in range(8)]
    assert not any(name in without[fold] for name, fold in real["fold"].items())
    assert real["defect_share"].tolist() == pytest.approx([14 * 14 / 32**2] * 8)
    assert real["defect_iou"].notna().all()
    assert len(trained_on) == 4  # each U-Net once, for synthetic and real pairs


def test_more_folds_than_groups(project, monkeypatch):
    write_params(PARAMS | {"filter": PARAMS["filter"] | {"folds": 5}})
    with pytest.raises(UserError, match=r"filter\.folds: got 5, expected at most 4"):
        run(filter_unet, monkeypatch)


def test_stale_scores_are_refused(project, monkeypatch):
    compose(monkeypatch)
    before = hashes(Path("data/mixes"))
    write_set(Path("data/synthetic"), "synthetic", ["train"] * 9)
    with pytest.raises(UserError, match="run filter-unet again"):
        run(compose_mixes, monkeypatch)
    assert hashes(Path("data/mixes")) == before


def test_changed_photo_is_named(project, monkeypatch):
    keep_mixes("real_all")
    run(compose_mixes, monkeypatch)
    photo = Path("data/prepared/images/real_000002.png")
    write_image(photo, np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(UserError, match=str(photo)):
        run(train_segmenters, monkeypatch, "unet", "real_all")
    assert not Path("data/models").exists()


@pytest.mark.parametrize(
    ("stage", "arguments", "message"),
    [
        (train_segmenters, ["vnet", "real_all"], "expected one of unet"),
        (train_segmenters, ["unet", "real_all"], "run `dvc repro compose-mixes` first"),
    ],
)
def test_wrong_arguments_are_named(project, monkeypatch, stage, arguments, message):
    with pytest.raises(UserError, match=message):
        run(stage, monkeypatch, *arguments)
