from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.data.pairs import Pairs, load_pairs
from pipeline.data.synthetic_set import read_pair
from pipeline.diffusion.painting import PixelPainter
from pipeline.diffusion.sample_set import (
    SampleJob,
    draw_batches,
    draw_set,
    store_key,
    to_pixels,
    unfinished_batches,
)
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.io.images import read_mask, read_silhouette
from pipeline.io.manifests import ClassInfo, read_manifest
from pipeline.io.seeding import derive_seed
from pipeline.masks.real import MaskDraw

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "defect", (255, 0, 0))]


class TinyNetwork(nn.Module):
    """An untrained network on 2 classes and a silhouette; counts its calls."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3 + 3, 3, 3, padding=1)
        self.calls = 0

    def forward(self, x, timesteps, condition):
        self.calls += 1
        return self.conv(torch.cat([x, condition], dim=1))


def draw_mask(index: int) -> MaskDraw:
    mask = np.zeros((8, 6), dtype=np.uint8)
    mask[index % 8] = 1
    rejected = ("empty",) if index == 1 else ()
    return MaskDraw(mask, mask == 0, f"photo_{index % 4}", rejected)


def make_job(count: int, **settings) -> SampleJob:
    values = {"batch_size": 4, "checkpoint": "best", "sampler": "ddpm", "steps": 3} | settings
    return SampleJob(
        painter=PixelPainter(TinyNetwork(), DiffusionSettings(prediction="x0", loss="mse")),
        classes=CLASSES,
        with_object=True,
        source=draw_mask,
        settings=SamplingSettings(count=count, **values),
        seed=5,
    )


def draw_missing(job: SampleJob, store) -> int:
    missing = unfinished_batches(job, store)
    draw_batches(job, store, missing)
    return len(missing)


def contents(folder) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_batches_are_aligned_and_a_larger_count_draws_only_the_new_ones(tmp_path):
    assert draw_missing(make_job(6), tmp_path) == 2  # two whole batches of four
    before = contents(tmp_path)
    assert draw_missing(make_job(8), tmp_path) == 0  # the surplus is there already
    assert draw_missing(make_job(9), tmp_path) == 1
    after = contents(tmp_path)
    assert len(after) == 12 * 4  # photo, mask, silhouette, facts
    assert {name: after[name] for name in before} == before


def test_an_interrupted_drawing_ends_in_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    draw_missing(make_job(8), whole)
    draw_missing(make_job(8), broken)
    for index in (2, 3):  # killed within the first batch: no photo, perhaps a mask
        (broken / f"images/synthetic_{index:06d}.png").unlink()
    (broken / "masks/synthetic_000003.png").unlink()
    assert draw_missing(make_job(8), broken) == 1
    assert contents(broken) == contents(whole)


def test_several_processes_draw_what_one_draws(tmp_path):
    one, several = tmp_path / "one", tmp_path / "several"
    draw_missing(make_job(12), one)
    missing = unfinished_batches(make_job(12), several)
    draw_batches(make_job(12), several, missing[1::2])
    draw_batches(make_job(12), several, missing[0::2])
    assert contents(several) == contents(one)


def test_pairs_hold_what_they_were_drawn_for(tmp_path):
    draw_missing(make_job(3), tmp_path)
    for index in range(3):
        expected = draw_mask(index)
        name = f"synthetic_{index:06d}.png"
        assert np.array_equal(read_mask(tmp_path / "masks" / name), expected.mask)
        assert np.array_equal(read_silhouette(tmp_path / "objects" / name), expected.object)


def test_the_set_is_written_and_drawn_once(workplace):
    job = make_job(5, guidance=0.5)
    draw_set(job, {"a": 1}, workplace / "synthetic", "title")
    assert job.painter.network.calls == 2 * 3
    frame = read_manifest(workplace / "synthetic")
    assert frame["mask_id"].tolist() == ["photo_0", "photo_1", "photo_2", "photo_3", "photo_0"]
    assert frame["seed"].tolist() == [derive_seed(5, "sample", i) for i in range(5)]
    assert set(frame["guidance"]) == {0.5}
    assert [list(faults) for faults in frame["mask_rejected"]] == [[], ["empty"], [], [], []]
    assert frame["mask_fault"].isna().all()
    assert len(load_pairs(workplace / "synthetic", frame, verify=True)) == 5
    first = contents(workplace / "synthetic")
    again = make_job(5, guidance=0.5)
    draw_set(again, {"a": 1}, workplace / "synthetic", "title")
    assert again.painter.network.calls == 0
    assert contents(workplace / "synthetic") == first
    fewer = make_job(2, guidance=0.5)
    draw_set(fewer, {"a": 1}, workplace / "synthetic", "title")
    assert fewer.painter.network.calls == 0
    kept = contents(workplace / "synthetic")
    assert sorted(name for name in kept if name.startswith("images/")) == [
        "images/synthetic_000000.png",
        "images/synthetic_000001.png",
    ]


def test_a_model_without_silhouettes_writes_none(tmp_path):
    job = replace(make_job(2), with_object=False)
    job.painter.network.conv = nn.Conv2d(3 + 2, 3, 3, padding=1)
    draw_missing(job, tmp_path)
    assert not (tmp_path / "objects").exists()
    assert read_pair(tmp_path, 0).files()["object"] is None


def test_the_store_depends_on_all_but_the_count(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    masks = np.zeros((2, 8, 6), dtype=np.uint8)
    pairs = Pairs(["a", "b"], np.zeros((2, 8, 6, 3), dtype=np.uint8), masks, masks == 0)

    def key(job=None, pairs=pairs, mask_settings=None, **inputs):
        return store_key(job or make_job(5), tmp_path, inputs, pairs, mask_settings or {})

    assert key() == key(make_job(50))
    assert key() != key(make_job(5, guidance=1.0))
    assert key() != key(make_job(5, batch_size=8))
    assert key(autoencoder="one") != key(autoencoder="another")
    assert key() != key(replace(make_job(5), seed=6))
    assert key() != key(mask_settings={"real": {"order": "shuffled"}})
    assert key() != key(pairs=replace(pairs, masks=masks + 1))
    assert key() != key(pairs=replace(pairs, objects=masks > 0))
    same = key()
    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert key() != same


def test_pixels_are_rounded_and_cover_the_range():
    values = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    pixels = to_pixels(values)
    assert pixels.shape == (1, 1, 5, 3)
    assert pixels[0, 0, :, 0].tolist() == [0, 0, 128, 191, 255]  # 127.5 rounds to even
