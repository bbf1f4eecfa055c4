"""train-superres, train-image-dm, finetune-image-dm and sample: what the parameters decide."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from accelerate.state import AcceleratorState
from ruamel.yaml import YAML

from pipeline.data.mixes import load_mix_pairs, read_mix
from pipeline.io.errors import UserError
from pipeline.io.images import read_image, read_mask, sha256_of
from pipeline.io.manifests import read_manifest
from pipeline.io.presets import compose, merge
from stages import (
    compose_mixes,
    filter_unet,
    finetune_image_dm,
    sample,
    train_image_dm,
    train_superres,
)
from tests.autoencoding.squares import write_prepared

REPOSITORY = Path(__file__).parents[2]
TINY = {"width": 4, "multipliers": [1, 2], "heads": 2, "groups": 2}
SHORT = {
    "max_steps": 2,
    "batch_size": 2,
    "threads": 1,
    "precision": "fp32",
    "evaluate_every_steps": 1,
    "colour_divergence": {"every_steps": 1, "samples": 2, "steps": 2},
    "preview": {"every_steps": None},
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A prepared set of squares, and parameters of tiny pair and super-resolution models."""
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write_prepared(tmp_path / "data/prepared", size=16)
    (tmp_path / "data/models/image_dm_finetuned").mkdir(parents=True)
    (tmp_path / "data/models/image_dm_finetuned/unused.json").write_text("{}")
    change(tmp_path, {"image_dm": {"kind": "pair", "reduction": 2}})
    return tmp_path


def change(folder, changes):
    """Write the demo's parameters with tiny models and these changes."""
    params = compose("demo", REPOSITORY / "presets")
    superres = dict(SHORT)
    del superres["colour_divergence"]
    tiny = {
        "image_dm": {
            "pair": {"network": TINY, "training": SHORT, "discriminator": {"network": {"width": 4}}}
        },
        "superres": {"network": {**TINY, "unshuffle": 1}, "training": superres},
        "sampling": {
            "count": 3,
            "steps": 2,
            "batch_size": 2,
            "superres": {"enabled": True, "steps": 2, "batch_size": 2},
        },
    }
    for part in (tiny, changes):
        merge(params, part)
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(params, file)


def test_pairs_are_drawn_small_and_enlarged(project, capsys):
    train_image_dm.main()
    train_superres.main()
    sample.main()
    output = capsys.readouterr().out
    assert "masks.source: real is not used, pair makes masks with its photos" in output
    assert "sampling.guidance: 0.5 is not used" in output
    frame = read_manifest(Path("data/synthetic"))
    assert frame["id"].tolist() == [f"synthetic_{index:06d}" for index in range(3)]
    assert set(frame["guidance"]) == {0.0}
    assert set(frame["superres"]) == {"ddim"} and set(frame["superres_steps"]) == {2}
    assert frame["object"].notna().all()
    card = json.loads(Path("data/models/image_dm/settings.json").read_text())
    assert (card["kind"], card["height"]) == ("pair", 8)


def test_superres_serves_models_that_are_given_masks_too(project):
    tiny = {"width": 4, "multipliers": [1, 2], "head_channels": 4, "spade_channels": 4, "groups": 2}
    training = {name: SHORT[name] for name in SHORT if name != "colour_divergence"}
    sdm = {"network": tiny, "training": training}
    superres = {"sampler": "dpmsolver++"}
    change(
        project,
        {
            "image_dm": {"kind": "sdm", "reduction": 2, "sdm": sdm},
            "sampling": {"superres": superres},
        },
    )
    train_image_dm.main()
    train_superres.main()
    sample.main()
    frame = read_manifest(Path("data/synthetic"))
    assert set(frame["superres"]) == {"dpmsolver++"} and set(frame["guidance"]) == {0.5}
    prepared = read_manifest(Path("data/prepared"))
    assert set(frame["mask_id"]) <= set(prepared.loc[prepared["split"] == "train", "id"])
    assert read_image(Path("data/synthetic") / frame["image"][0]).shape == (16, 16, 3)


def test_without_superres_pairs_are_resampled(project):
    change(
        project,
        {
            "image_dm": {"kind": "pair", "reduction": 2},
            "sampling": {"superres": {"enabled": False}},
        },
    )
    train_image_dm.main()
    sample.main()
    assert set(read_manifest(Path("data/synthetic"))["superres"]) == {"none"}
    mask = read_mask(Path("data/synthetic/masks/synthetic_000000.png"))
    assert mask.shape == (16, 16)
    assert (mask[::2, ::2] == mask[1::2, 1::2]).all()


def test_copy_and_paste_is_drawn_at_full_size(project, capsys):
    change(project, {"image_dm": {"kind": "copy_paste", "reduction": 2}})
    train_image_dm.main()
    sample.main()
    assert "copy_paste has nothing to train" in capsys.readouterr().out
    frame = read_manifest(Path("data/synthetic"))
    assert frame["mask_id"].tolist() == [f"pasted_{index:06d}" for index in range(3)]
    assert "superres" not in frame
    card = json.loads(Path("data/models/image_dm/settings.json").read_text())
    assert (card["kind"], card["height"]) == ("copy_paste", 16)


def test_what_does_not_fit_together_is_refused(project):
    change(project, {"image_dm": {"kind": "pair", "reduction": 1}})
    with pytest.raises(UserError, match=r"enabled: got true, but image_dm\.reduction is 1"):
        train_superres.main()
    change(project, {"image_dm": {"kind": "pair", "reduction": 3}})
    with pytest.raises(UserError, match=r"image_dm\.reduction: got 3, expected 1 or 2"):
        train_image_dm.main()
    for kind in ("pair", "copy_paste"):
        change(project, {"image_dm": {"kind": kind, "finetune": {"enabled": True}}})
        with pytest.raises(UserError, match=rf"got true, but {kind} has no condition to drop"):
            finetune_image_dm.main()
    change(project, {"image_dm": {"kind": "gan"}})
    with pytest.raises(UserError, match="expected one of sdm, ldm, pair, copy_paste"):
        train_image_dm.main()
    assert not Path("data/models/image_dm").exists()
    with pytest.raises(UserError, match="run train-image-dm"):
        sample.main()


def test_unused_superres_says_why_without_torch(project):
    change(project, {"sampling": {"superres": {"enabled": False}}})
    script = (
        "import sys; from stages import train_superres; train_superres.main();"
        "heavy = {'torch', 'diffusers', 'numpy', 'pandas'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "not used, sampling.superres.enabled is false" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_the_same_set_again_has_the_same_bytes(project):
    train_image_dm.main()
    train_superres.main()
    sample.main()
    first = pd.read_parquet("data/synthetic/manifest.parquet")
    for store in Path(".checkpoints").glob("sample*/*/images/*.png"):
        store.unlink()
    sample.main()
    again = pd.read_parquet("data/synthetic/manifest.parquet")
    pd.testing.assert_frame_equal(first, again)


PASTED = {"image_dm": {"kind": "copy_paste", "reduction": 1}}


def test_another_layout_draws_nothing_again(project, capsys):
    change(project, PASTED)
    train_image_dm.main()
    sample.main()
    change(project, PASTED | {"sampling": {"output": "shards", "shard_size": 2}})
    capsys.readouterr()
    sample.main()
    assert "every pair was in the store already" in capsys.readouterr().out
    assert not Path("data/synthetic/images").exists()
    assert len(list(Path("data/synthetic/shards").iterdir())) == 2


def test_shards_give_segmenters_the_pairs_that_files_give(project):
    """From drawing through the filter to a mix."""
    mixes = {
        "real_all": {"real": "all", "synthetic": 0},
        "both": {"real": "all", "synthetic": "all"},
    }
    settings = PASTED | {
        "filter": {"score": "none", "minimal_defect_share": 0.001},
        "segmenters": {"mixes": mixes},
    }
    change(project, settings)
    train_image_dm.main()
    pairs, shards = [], []
    for output, count in (("files", 5), ("shards", 5), ("shards", 7)):
        sampling = {"output": output, "shard_size": 2, "count": count}
        change(project, settings | {"sampling": sampling})
        sample.main()
        filter_unet.main()
        compose_mixes.main()
        rows = read_mix(Path("data/mixes/both")).part("train")
        assert (rows["origin"] == "synthetic").sum() == count
        pairs.append(load_mix_pairs(rows, 2))
        paths = sorted(Path("data/synthetic").glob("shards/*.tar"))
        shards.append([(path.name, sha256_of(path)) for path in paths])
    files, few, more = pairs
    assert files.ids == few.ids == more.ids[: len(few)]
    for name in ("images", "masks"):
        assert np.array_equal(getattr(files, name), getattr(few, name))
        assert np.array_equal(getattr(few, name), getattr(more, name)[: len(few)])
    assert [len(each) for each in shards] == [0, 3, 4]
    assert shards[1][:2] == shards[2][:2]
