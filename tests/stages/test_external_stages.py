"""preprocess-external and finetune-segmenters, on bright squares in two lights, in seconds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from pipeline.evaluation.overlap import stack_counts
from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.images import read_mask, sha256_of
from pipeline.io.manifests import read_classes, read_manifest
from pipeline.io.params import read_params
from pipeline.io.seeding import derive_seed
from pipeline.models.segmenters import NetworkSettings, Segmenter, build_segmenter
from pipeline.segmentation import finetuning, training
from stages import finetune_segmenters, preprocess_external

REPOSITORY = Path(__file__).parents[2]
ENCODER = "tu-tf_mobilenetv3_small_minimal_100"
MIXES = ["real_all", "synthetic_all"]
OUT = Path("data/models/segmenters_finetuned")
PARAMS = {
    "seed": 0,
    "subset": "marks",
    "subsets": {
        "marks": {"classes": {"mark": ["square"]}, "others": "exclude", "defect_free": "include"}
    },
    "image": {"height": 32, "width": 32, "fit": "resize"},
    "segmenters": {
        "architectures": ["unet"],
        "mixes": {mix: {"real": "all", "synthetic": 0} for mix in MIXES},
        "network": {"encoder": ENCODER, "encoder_weights": None, "input_scale": 1},
        "training": {
            "batch_size": 4,
            "budget": {"unit": "steps", "amount": 3},
            "validate_every_steps": 3,
            "seeds": 2,
        },
        "augmentation": {"horizontal_flip": 0.5},
    },
    "external": {
        "enabled": True,
        "dataset": {
            "path": "elsewhere",
            "reader": "folders",
            "folders": {
                "images": "images/*",
                "mask": "masks/{stem}.png",
                "class_from": "constant",
                "class_name": "square",
            },
            "object": {"source": "none"},
        },
        "split": {"train": 0.5, "val": 0.0, "test": 0.5, "group_pattern": "^(f[0-9])"},
        "finetuning": {
            "enabled": True,
            "count": None,
            "augment": True,
            "training": {
                "learning_rate": 0.003,
                "batch_size": 4,
                "budget": {"unit": "steps", "amount": 4},
                "validate_every_steps": 2,
            },
        },
    },
}


def write_params(**changes) -> None:
    """Those of `external` changed."""
    with Path("params.yaml").open("w") as file:
        YAML().dump(PARAMS | {"external": PARAMS["external"] | changes}, file)


@pytest.fixture(scope="module")
def segmenters(tmp_path_factory) -> Path:
    """Two runs of two seeds."""
    folder = tmp_path_factory.mktemp("segmenters")
    for place, mix in enumerate(MIXES):
        run = folder / f"unet-{mix}"
        for seed in range(2):
            network = NetworkSettings(encoder=ENCODER, encoder_weights=None)
            build_segmenter("unet", network, 2, 2 * place + seed).save(run / f"seed_{seed}")
        write_json(run / "run.json", {"classes": ["background", "mark"]})
    return folder


@pytest.fixture
def project(segmenters, tmp_path, monkeypatch) -> Path:
    """A data set of two fields with six photos each, and two runs of two seeds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    write_params()
    rng = np.random.default_rng(0)
    for field in ("f1", "f2"):
        for index in range(6):
            image = rng.integers(0, 40, size=(40, 40, 3)).astype(np.uint8)
            mask = np.zeros((40, 40), np.uint8)
            top, left = rng.integers(0, 20, size=2)
            image[top : top + 18, left : left + 18], mask[top : top + 18, left : left + 18] = (
                120,
                255,
            )
            for folder, array in (("images", image), ("masks", mask)):
                Path("elsewhere", folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(f"elsewhere/{folder}/{field}_{index}.png")
    shutil.copytree(segmenters, "data/models/segmenters")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def prepared(project) -> Path:
    preprocess_external.main()
    return project


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def test_external_set_has_the_classes_and_the_size_of_the_training_set(prepared):
    frame = read_manifest(Path("data/external"))
    assert len(frame) == 12
    assert [item.name for item in read_classes(Path("data/external"))] == ["background", "mark"]
    sides = frame.groupby("split")["group"].unique().map(list).to_dict()
    assert sorted(sides) == ["test", "train"] and sides["test"] != sides["train"]
    assert read_mask(Path("data/external") / frame["mask"][0]).shape == (32, 32)


def test_a_data_set_without_the_class_is_refused(project):
    dataset = PARAMS["external"]["dataset"]
    folders = dataset["folders"] | {"class_name": "disc"}
    write_params(dataset=dataset | {"folders": folders})
    with pytest.raises(UserError, match=r"section external.*classes\.mark.*'square'.*has: disc"):
        preprocess_external.main()
    assert not Path("data/external").exists()


def test_before_and_after(prepared, capsys):
    finetune_segmenters.main()
    table = pd.read_parquet(OUT / "counts.parquet")
    assert table.columns.tolist() == [
        "architecture", "mix", "seed", "stage", "id", "group", "class_index", "class",
        "tp", "fp", "fn", "tn",
    ]  # fmt: skip
    # mixes by stages and the baseline, seeds, photos, classes
    assert len(table) == (2 * 2 + 1) * 2 * 6 * 2
    frame = read_manifest(Path("data/external"))
    test = frame[frame["split"] == "test"].sort_values("id")
    truths = [int((read_mask(Path("data/external") / path) == 1).sum()) for path in test["mask"]]
    for key, rows in table.groupby(["mix", "seed", "stage"]):
        counts = stack_counts(rows)
        assert (counts[:, 1, 0] + counts[:, 1, 2]).tolist() == truths, key
    # `before` is what the weights as they lie say, `after` what those in the out say
    images = np.stack([np.array(Image.open(f"data/external/{path}")) for path in test["image"]])
    for stage, root in (("before", Path("data/models/segmenters")), ("after", OUT)):
        network = Segmenter.from_pretrained(root / "unet-synthetic_all/seed_1").eval()
        with torch.inference_mode():
            x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
            found = int(network(x).argmax(dim=1).sum())
        rows = table.query(f"mix == 'synthetic_all' and seed == 1 and stage == '{stage}'")
        assert rows.loc[rows["class_index"] == 1, ["tp", "fp"]].to_numpy().sum() == found
    curve = pd.read_csv(OUT / "curve.csv")
    assert curve["step"].tolist() == [2, 4] * 4 + [3] * 2 and curve["val_miou"].isna().all()
    run = json.loads((OUT / "run.json").read_text())
    assert run["pairs"]["train"] == sorted(frame.loc[frame["split"] == "train", "id"])
    assert (OUT / "unet-real_all/examples.png").exists()
    assert (OUT / "unet-external_alone/examples.png").exists()
    assert "before: Dice" in capsys.readouterr().out
    assert len(list(Path(".checkpoints").glob("finetune-segmenters/*/finished"))) == 1


def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(prepared, monkeypatch):
    finetune_segmenters.main()
    expected = hashes(OUT)
    shutil.rmtree(OUT)
    shutil.rmtree(".checkpoints")
    train_step, steps = training._Trainer._train_step, []

    def step_or_die(trainer, step):
        steps.append(step)
        if len(steps) == 7:  # in the second segmenter
            raise KeyboardInterrupt
        return train_step(trainer, step)

    monkeypatch.setattr(training._Trainer, "_train_step", step_or_die)
    with pytest.raises(KeyboardInterrupt):
        finetune_segmenters.main()
    assert not OUT.exists()
    finetune_segmenters.main()
    # the first is not done again; the baseline comes last
    assert steps[7:] == [0, 1, 2, 3] * 3 + [0, 1, 2] * 2
    assert hashes(OUT) == expected


def test_other_weights_are_finetuned_again(prepared, monkeypatch):
    """What a killed run finished belongs to the weights that it started from."""
    test_images = Path("data/external/images")
    test_images.rename("data/external/hidden")
    Path("data/external/images").mkdir()
    frame = read_manifest(Path("data/external"))
    for path in frame.loc[frame["split"] == "train", "image"]:
        shutil.copy(Path("data/external/hidden", Path(path).name), Path("data/external", path))
    with pytest.raises(UserError):
        finetune_segmenters.main()  # all are finetuned, none measured
    shutil.rmtree("data/external/images")
    Path("data/external/hidden").rename("data/external/images")
    network = NetworkSettings(encoder=ENCODER, encoder_weights=None)
    build_segmenter("unet", network, 2, 9).save(Path("data/models/segmenters/unet-real_all/seed_0"))
    started, train_step = [], training._Trainer._train_step
    monkeypatch.setattr(
        training._Trainer,
        "_train_step",
        lambda trainer, step: started.append(step) or train_step(trainer, step),
    )
    finetune_segmenters.main()
    assert started == [0, 1, 2, 3]


def test_no_test_photo_is_read_before_all_are_finetuned(prepared):
    frame = read_manifest(Path("data/external"))
    for path in frame.loc[frame["split"] == "test", "image"]:
        Path("data/external", path).unlink()
    with pytest.raises(UserError, match="6 files cannot be used"):
        finetune_segmenters.main()
    states = list(Path(".checkpoints/finetune-segmenters").rglob("*.safetensors"))
    assert len(states) == 6  # every finetuning and the baseline were finished without them


@pytest.mark.parametrize("off", ["finetuning", "split"])
def test_without_finetuning_there_is_only_before(project, off):
    changes = {
        "finetuning": PARAMS["external"]["finetuning"] | {"enabled": False},
        "split": {"train": 0.0, "val": 0.0, "test": 1.0},
    }
    write_params(**{off: changes[off]})
    preprocess_external.main()
    finetune_segmenters.main()
    table = pd.read_parquet(OUT / "counts.parquet")
    assert set(table["stage"]) == {"before"}
    assert table["id"].nunique() == (6 if off == "finetuning" else 12)
    assert not list(OUT.rglob("*.safetensors"))
    assert pd.read_csv(OUT / "curve.csv").empty


def test_fewer_pairs_are_among_the_more(prepared, monkeypatch):
    asked = {}
    for count in (2, 4):
        write_params(finetuning=PARAMS["external"]["finetuning"] | {"count": count})
        data = finetuning.finetuning_data(
            Path("data/external"), finetuning.read_plan(read_params())
        )
        asked[count] = set(data.train.ids)
    assert len(asked[2]) == 2 and len(asked[4]) == 4 and asked[2] < asked[4]
    write_params(finetuning=PARAMS["external"]["finetuning"] | {"count": 7})
    with pytest.raises(UserError, match=r"external\.finetuning\.count: got 7 with 6 external"):
        finetune_segmenters.main()


def test_the_baseline_sees_the_external_pairs_alone(prepared):
    """From the weights that a mix's segmenter of that seed starts from, trained as that one is."""
    finetune_segmenters.main()
    plan = finetuning.read_plan(read_params())
    data = finetuning.finetuning_data(Path("data/external"), plan)
    by_hand = training.train_segmenter(
        "unet", plan.network, plan.training, data, derive_seed(0, "segmenter", 1),
        Path("state.safetensors"), "by hand",
    )  # fmt: skip
    saved = Segmenter.from_pretrained(OUT / "unet-external_alone/seed_1").state_dict()
    assert all(torch.equal(saved[k], v) for k, v in by_hand.network.state_dict().items())
    table = pd.read_parquet(OUT / "counts.parquet")
    assert set(table.loc[table["mix"] == "external_alone", "stage"]) == {"after"}


def test_a_mix_must_not_bear_the_baseline_s_name(prepared):
    content = PARAMS["segmenters"] | {"mixes": {"external_alone": None}}
    with Path("params.yaml").open("w") as file:
        YAML().dump(PARAMS | {"segmenters": content}, file)
    with pytest.raises(UserError, match=r"mixes\.external_alone.*rename"):
        finetune_segmenters.main()


def test_segmenters_of_other_classes_are_refused(prepared):
    path = Path("data/models/segmenters/unet-synthetic_all/run.json")
    write_json(path, {"classes": ["background", "blot"]})
    with pytest.raises(UserError, match=r"was trained on background, blot, but .* mark"):
        finetune_segmenters.main()
    assert not OUT.exists()


def test_unused_and_nothing_is_imported(project):
    write_params(enabled=False)
    program = (
        "import sys\n"
        "from stages import preprocess_external, finetune_segmenters\n"
        "preprocess_external.main(); finetune_segmenters.main()\n"
        "heavy = {'torch', 'pandas', 'numpy', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    for folder in (Path("data/external"), OUT):
        assert json.loads((folder / "unused.json").read_text())["used"] is False
        assert len(list(folder.iterdir())) == 1
