"""A small finished project in a temporary folder, as the stages before the report leave it."""

import contextlib
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline.io.atomic import write_json
from pipeline.io.images import write_image, write_mask, write_silhouette
from pipeline.io.manifests import ClassInfo, write_classes, write_manifest

CLASSES = [
    ClassInfo(0, "background", (0, 0, 0)),
    ClassInfo(1, "blemish", (230, 30, 200)),
    ClassInfo(2, "mould", (0, 190, 255)),
]
ARCHITECTURES = ["unetplusplus", "fpn"]
MIXES = {
    "real_all": {"real": "all", "synthetic": 0, "augment": False},
    "real_all-synthetic_all": {"real": "all", "synthetic": "all", "augment": False},
    "synthetic_all": {"real": 0, "synthetic": "all", "augment": False},
    "real_16": {"real": 16, "synthetic": 0, "augment": False},
    "real_16-synthetic_all": {
        "real": 16,
        "synthetic": "all",
        "augment": False,
        "baseline": "real_16",
    },
}
PARAMS = {
    "seed": 0,
    "dataset": {"path": "data/demo", "reader": "coco"},
    "subset": "blemish-mould",
    "subsets": {"blemish-mould": {"expected_count": 790}, "other": {"expected_count": 39}},
    "image": {"height": 64, "width": 64, "fit": "resize"},
    "split": {"train": 0.64, "val": 0.16, "test": 0.2},
    "masks": {"source": "augmented", "augmented": {"shift": 0.1}, "diffusion": {"not": "in use"}},
    "mask_dm": {"kind": "latent", "latent": {"not": "in use"}},
    "condition": {"object": True},
    "image_dm": {
        "kind": "sdm",
        "sdm": {"network": {"width": 32, "multipliers": [1, 1.5, 2, 2]}},
        "ldm": {"not": "in use"},
        "finetune": {"enabled": False},
    },
    "sampling": {
        "count": 24,
        "guidance": 0.5,
        "steps": 20,
        "sampler": "dpmsolver++",
        "checkpoint": "last",
    },
    "filter": {"score": "miou", "keep": "all"},
    "segmenters": {"architectures": ARCHITECTURES, "baseline": "real_all", "mixes": MIXES},
    "external": {"enabled": False, "dataset": {"path": "data/field"}},
    "report": {
        "pairs": 6,
        "ranked_pairs": 3,
        "masks": 2,
        "photos_of_a_mask": 3,
        "resamples": 200,
    },
}
TEST_PHOTOS, SEEDS = 6, 4
# IoU of every class, give or take; the segmenters' counts are made from it.
AIM = {
    "real_all": 0.7,
    "real_all-synthetic_all": 0.74,
    "synthetic_all": 0.5,
    "real_16": 0.4,
    "real_16-synthetic_all": 0.55,
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working folder, with everything that the report stage reads."""
    monkeypatch.chdir(tmp_path)
    write_project()
    return tmp_path


def write_project():
    """Write it into the working folder."""
    with Path("params.yaml").open("w") as file:
        YAML().dump(PARAMS, file)
    _write_prepared(Path("data/prepared"))
    _write_synthetic(Path("data/synthetic"))
    _write_filtered(Path("data/filtered"))
    _write_quality(Path("data/generation"))
    _write_audit(Path("data/audit"))
    _write_image_model(Path("data/models"))
    for architecture in ARCHITECTURES:
        for mix in MIXES:
            _write_run(Path("data/models/segmenters"), architecture, mix)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project whose report is written, for tests that only read; `finished` is its folder."""
    from stages.report import main

    folder = tmp_path_factory.mktemp("finished")
    with contextlib.chdir(folder):
        write_project()
        main()
    return folder


def _pair(index):
    """A yellow disc on black with a spot of one class."""
    rng = np.random.default_rng(index)
    y, x = np.mgrid[:64, :64]
    lemon = ((x - 32) / 25) ** 2 + ((y - 32) / 20) ** 2 < 1
    shade = 1 - 0.5 * (((x - 26) / 40) ** 2 + ((y - 26) / 40) ** 2)
    image = np.where(lemon[..., None], shade[..., None] * np.array([250, 210, 40]), 4)
    left, top = rng.integers(22, 42, size=2)
    spot = ((x - left) ** 2 + (y - top) ** 2 < rng.integers(9, 40)) & lemon
    image = np.where(spot[..., None], image * 0.5, image) + rng.normal(0, 5, image.shape)
    label = 1 + index % 2
    return image.clip(0, 255).astype(np.uint8), (spot * label).astype(np.uint8), CLASSES[label].name


def _write_set(folder, ids, with_objects):
    rows = []
    for index, name in enumerate(ids):
        image, mask, shown = _pair(index)
        write_image(folder / f"images/{name}.png", image)
        write_mask(folder / f"masks/{name}.png", mask, [item.colour for item in CLASSES])
        if with_objects:
            write_silhouette(folder / f"objects/{name}.png", image.max(axis=2) > 40)
        rows.append(
            {
                "id": name,
                "image": f"images/{name}.png",
                "mask": f"masks/{name}.png",
                "object": f"objects/{name}.png" if with_objects else None,
                "classes": [shown],
                "image_sha256": hashlib.sha256(image).hexdigest(),
                "mask_sha256": hashlib.sha256(mask).hexdigest(),
            }
        )
    write_classes(folder, CLASSES)
    return pd.DataFrame(rows)


def _write_prepared(folder):
    frame = _write_set(
        folder, [f"{n // 3:04d}_photo_{n:02d}" for n in range(24)], with_objects=True
    )
    splits = np.array(["train"] * 12 + ["val"] * 6 + ["test"] * 6)
    write_manifest(folder, frame.assign(split=splits, group=frame["id"].str[:4]))
    table = pd.DataFrame(
        {"split": ["train", "val", "test"], "images": [12, 6, 6], "unit": ["group"] * 3}
    )
    table.to_csv(folder / "split.csv", index=False)


def _write_synthetic(folder):
    frame = _write_set(folder, [f"synthetic_{n:06d}" for n in range(12)], with_objects=True)
    masks = ["0000_photo_00"] * 8 + ["0001_photo_05"] * 3 + ["0002_photo_07"]
    sampled = {"mask_id": masks, "guidance": 0.5, "sampler": "dpmsolver++", "steps": 20}
    write_manifest(folder, frame.assign(index=range(12), **sampled))


def _write_filtered(folder):
    folder.mkdir(parents=True)
    ids = [f"synthetic_{n:06d}" for n in range(12)]
    scores = pd.DataFrame(
        {
            "id": ids,
            "miou": np.linspace(0.4, 0.95, 12),
            "cross_entropy": np.linspace(0.9, 0.1, 12),
            "defect_iou": [np.nan, *np.linspace(0.1, 0.9, 11)],
            "defect_share": [0.1] * 11 + [0.0],
            "rank": range(12, 0, -1),
            "kept": [False] * 4 + [True] * 8,
        }
    )
    scores.to_parquet(folder / "scores.parquet", index=False)


def _write_quality(folder):
    rows = [
        {"name": "kid", "value": 0.1378, "deviation": 0.0057, "n": 12, "reference": 0.0003,
         "reference_deviation": 0.0058, "note": "100 subsets of 6 photos"},
        {"name": "alignment", "n": 0, "note": "no segmenters judged out of fold"},
    ]  # fmt: skip
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(folder / "figures.csv", index=False)
    summary = {
        "synthetic": 12,
        "copies": 2,
        "suspicious": 3,
        "repainted": 1,
        "false_alarm_rate": 0.05,
    }
    write_json(folder / "memorisation.json", {"measured": True, **summary})
    write_image(folder / "nearest.png", _pair(0)[0])


def _write_audit(folder):
    told = ["24 photos, 276 pairs compared", "WARNING: 1 near-identical pairs"]
    write_json(folder / "summary.json", {"pairs_across_groups": 1, "told": told})
    write_image(folder / "pairs.png", _pair(1)[0])


def _write_image_model(folder):
    steps = np.arange(10, 510, 10)
    curve = pd.DataFrame({"step": steps, "loss": 0.5 / np.sqrt(steps), "val_loss": np.nan})
    curve.loc[4::5, "val_loss"] = 0.55 / np.sqrt(steps[4::5])
    (folder / "image_dm/samples").mkdir(parents=True)
    curve.to_csv(folder / "image_dm/curve.csv", index=False)
    for step in (90, 500):
        grid = np.concatenate([_pair(n)[0] for n in range(4)], axis=1)
        write_image(folder / f"image_dm/samples/step_{step}.png", grid)
    write_json(folder / "image_dm_finetuned/unused.json", {"used": False, "reason": "disabled"})


def _write_run(root, architecture, mix):
    folder = root / f"{architecture}-{mix}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(architecture) * 100 + len(mix))
    rows = []
    for seed in range(SEEDS):
        for photo in range(TEST_PHOTOS):
            for index, item in enumerate(CLASSES):
                truth = 3000 if index == 0 else 100
                found = int(truth * np.clip(AIM[mix] + rng.normal(0, 0.05), 0, 1))
                name, group = f"photo_{photo}", f"group_{photo // 2}"
                counts = (found, 0, truth - found, 4096 - truth)
                rows.append((architecture, mix, seed, name, group, index, item.name, *counts))
    columns = ["architecture", "mix", "seed", "id", "group", "class_index", "class"]
    frame = pd.DataFrame(rows, columns=[*columns, "tp", "fp", "fn", "tn"])
    frame.to_parquet(folder / "counts.parquet", index=False)
    steps = np.arange(50, 301, 50)
    curve = pd.DataFrame({"seed": np.repeat(range(SEEDS), 6), "step": np.tile(steps, SEEDS)})
    curve["val_defect_iou"] = AIM[mix] * (1 - np.exp(-curve["step"] / 100))
    curve.to_csv(folder / "curve.csv", index=False)
