"""What does not fit together is refused before anything runs, all of it at once."""

import copy
from functools import cache
from pathlib import Path

import pytest

from pipeline.io.errors import UserError, run
from pipeline.io.params import read_params
from pipeline.parameters.together import check_parameters
from stages import check_parameters as stage

DEMO = Path(__file__).resolve().parents[2] / "presets/demo.yaml"
LATENT = {"masks.source": "diffusion", "image_dm.kind": "ldm"}
HALF = {"image_dm.reduction": 2, "sampling.superres.enabled": True}


@cache
def demo():
    return read_params(DEMO)


def _changed(changes):
    content = copy.deepcopy(demo())
    for path, new in changes.items():
        *above, name = path.split(".")
        inner = content
        for step in above:
            inner = inner[step]
        inner[name] = new
    return content


@pytest.mark.parametrize(
    "changes",
    [
        {},
        LATENT,
        {"masks.source": "diffusion", "mask_dm.kind": "pixel"},
        {"image_dm.kind": "pair"},
        {"image_dm.kind": "copy_paste"},
        HALF,
        {"autoencoder.pretrained": "someone/vae", "image_dm.kind": "ldm"},
        # what is not chosen may be at odds with the rest
        {"image_dm.kind": "copy_paste", "sampling.steps": 2000},
        {"masks.diffusion.sampling.steps": 2000},
    ],
)
def test_methods_that_make_sense_are_valid(changes):
    check_parameters(_changed(changes))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"subset": "rot"}, r"subset: got 'rot', expected one of blemish, mould"),
        ({"dataset.object.source": "none"}, r"condition\.object: got true, but dataset\.object"),
        (
            {"image_dm.kind": "pair", "image_dm.finetune.enabled": True},
            r"image_dm\.finetune\.enabled: got true, but pair has no condition",
        ),
        ({"sampling.superres.enabled": True}, r"sampling\.superres\.enabled: got true, but image_"),
        (
            {"image_dm.reduction": 2, "image.width": 65},
            r"image\.width: got 65, expected a multiple",
        ),
        (
            {"segmenters.network.encoder_weights": "gone.pth"},
            r"segmenters\.network\.encoder_weights",
        ),
        ({"sampling.steps": 1001}, r"sampling\.steps: got 1001, expected at most 1000"),
        (LATENT | {"masks.diffusion.sampling.steps": 2000}, r"masks\.diffusion\.sampling\.steps"),
        (HALF | {"sampling.superres.steps": 2000}, r"sampling\.superres\.steps: got 2000"),
        (
            {"image_dm.sdm.training.preview.steps": 2000},
            r"image_dm\.sdm\.training\.preview\.steps: got 2000",
        ),
        ({"sampling.checkpoint": "val_loss"}, r"sampling\.checkpoint: got val_loss, expected best"),
        ({"image.height": 72}, r"multipliers: .*divisible by 16, got 72×64|72×64"),
        ({"image_dm.sdm.network.attention": [7]}, r"network\.attention: got \[7\]"),
        (LATENT | {"image.height": 66}, r"image_dm\.ldm.* divisible by 4, got 33×32"),
        ({"image_dm.kind": "pair", "image.width": 66}, r"image_dm\.pair.* divisible by"),
        (HALF | {"superres.network.heads": 3}, r"superres\.network\.heads: got 3"),
        ({"segmenters.baseline": "gone"}, r"segmenters\.baseline: got 'gone', expected a mix"),
        ({"segmenters.mixes": {"a b; rm": {"real": 1, "synthetic": 0}}}, r"segmenters\.mixes\.a b"),
        ({"segmenters.mixes": {"../x": {"real": 1, "synthetic": 0}}}, r"segmenters\.mixes\.\.\./x"),
        (
            {"segmenters.network.encoder": "resnet43"},
            r"segmenters\.network\.encoder: got 'resnet43'",
        ),
    ],
)
def test_what_does_not_fit_is_named(changes, complaint):
    with pytest.raises(UserError, match=complaint):
        check_parameters(_changed(changes))


def test_all_is_told_at_once():
    changes = {"subset": "rot", "sampling.steps": 1001, "segmenters.baseline": "gone"}
    with pytest.raises(UserError) as caught:
        check_parameters(_changed(changes))
    assert len(str(caught.value).splitlines()) == 3


def test_the_stage_leaves_an_out_that_does_not_hang_on_the_parameters(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    text = DEMO.read_text(encoding="utf-8")
    written = set()
    for seed in (0, 1):
        (tmp_path / "params.yaml").write_text(text.replace("seed: 0", f"seed: {seed}"))
        stage.main()
        written.add((tmp_path / "data/parameters.json").read_bytes())
    assert len(written) == 1
    (tmp_path / "data/parameters.json").unlink()
    (tmp_path / "params.yaml").write_text(text.replace("  steps: 20\n", "  stpes: 20\n"))
    with pytest.raises(SystemExit, match="1"):
        run(stage.main)
    assert "sampling.stpes: unknown parameter" in capsys.readouterr().err
    assert not (tmp_path / "data/parameters.json").exists()
