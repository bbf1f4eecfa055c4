"""Drawing a numbered set: alignment, resumption, several processes, files, methods."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.data.pairs import Pairs, load_pairs
from pipeline.data.sample_store import read_pair
from pipeline.diffusion.drawing import for_masks
from pipeline.diffusion.model_folder import ModelCard
from pipeline.diffusion.painting import PixelPainter, to_pixels
from pipeline.diffusion.sample_set import (
    SampleJob,
    digest_of,
    draw_batches,
    drawn_store,
    hashes_of,
    unfinished_batches,
    write_set,
)
from pipeline.diffusion.sampling import SamplerSettings
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.io.images import read_image, read_mask, read_silhouette
from pipeline.io.manifests import ClassInfo, read_manifest
from pipeline.io.seeding import derive_seed
from pipeline.masks.real import MaskDraw

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "defect", (255, 0, 0))]
DIFFUSION = DiffusionSettings(prediction="x0", loss="mse")


class TinyNetwork(nn.Module):
    """An untrained network on 2 classes and a silhouette; counts its calls."""

    def __init__(self, channels=3):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3 + channels, 3, 3, padding=1)
        self.calls = 0

    def forward(self, x, timesteps, condition):
        self.calls += 1
        return self.conv(torch.cat([x, condition], dim=1))


def draw_mask(index: int, factor: int = 1) -> MaskDraw:
    mask = np.zeros((8, 6), dtype=np.uint8)
    mask[index % 8] = 1
    mask = mask.repeat(factor, axis=0).repeat(factor, axis=1)
    rejected = ("empty",) if index == 1 else ()
    return MaskDraw(mask, mask == 0, f"photo_{index % 4}", rejected)


def make_card(with_object=True):
    return ModelCard("sdm", SamplerSettings(), {}, CLASSES, with_object, 8, 6, 0)


def make_job(
    count, with_object=True, reduction=1, source=draw_mask, network=None, **settings
) -> SampleJob:
    painter = PixelPainter(network or TinyNetwork(2 + with_object), DIFFUSION)
    sampler = SamplerSettings(**{"sampler": "ddpm", "steps": 3} | settings)
    draw = for_masks(painter, make_card(with_object), source, sampler, 5, reduction)
    return SampleJob(draw, CLASSES, with_object, count, batch_size=4, seed=5)


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


def test_files_that_cannot_be_written_stop_the_drawing(tmp_path):
    job = make_job(12)
    drawn = []
    draw = job.draw
    job = replace(job, draw=lambda indices: (drawn.append(indices[0]), draw(indices))[1])
    (tmp_path / "masks").write_text("in the way")
    with pytest.raises(OSError, match="masks"):
        draw_missing(job, tmp_path)
    assert drawn == [0, 4]  # the second batch was drawn while the first was being written


def test_a_later_set_draws_what_a_larger_one_would(tmp_path):
    larger, later = tmp_path / "larger", tmp_path / "later"
    draw_missing(make_job(12), larger)
    job = replace(make_job(3), first=6)
    assert list(job.indices) == [6, 7, 8]
    assert draw_missing(job, later) == 2  # batches 4 … 7 and 8 … 11
    drawn = contents(later)
    assert len(drawn) == 8 * 4
    assert drawn.items() <= contents(larger).items()
    write_set(job, later, tmp_path / "set", {})
    assert read_manifest(tmp_path / "set")["index"].tolist() == [6, 7, 8]


def test_an_interrupted_drawing_ends_in_the_same_bytes(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    draw_missing(make_job(8), whole)
    draw_missing(make_job(8), broken)
    for index in (2, 3):  # killed within the first batch: no facts, perhaps a photo
        (broken / f"facts/synthetic_{index:06d}.json").unlink()
    (broken / "images/synthetic_000003.png").unlink()
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


def test_a_model_that_draws_small_is_given_smaller_masks(tmp_path):
    full, small = tmp_path / "full", tmp_path / "small"
    draw_missing(make_job(3), full)
    draw_missing(make_job(3, reduction=2, source=partial(draw_mask, factor=2)), small)
    assert contents(small) == contents(full)


def test_the_set_is_written_and_drawn_once(workplace):
    out, drawn_by = workplace / "synthetic", {"guidance": 0.5}

    def draw(count):
        network = TinyNetwork()
        job = make_job(count, network=network, guidance=0.5)
        with drawn_store(job, {"a": 1}) as store:
            write_set(job, store, out, drawn_by)
        return network.calls

    assert draw(5) == 2 * 3
    frame = read_manifest(out)
    assert frame["mask_id"].tolist() == ["photo_0", "photo_1", "photo_2", "photo_3", "photo_0"]
    assert frame["seed"].tolist() == [derive_seed(5, "sample", i) for i in range(5)]
    assert set(frame["guidance"]) == {0.5}
    assert [list(faults) for faults in frame["mask_rejected"]] == [[], ["empty"], [], [], []]
    assert frame["mask_fault"].isna().all()
    assert len(load_pairs(out, frame, verify=True)) == 5
    first = contents(out)
    assert draw(5) == 0
    assert contents(out) == first
    assert draw(2) == 0
    kept = contents(out)
    assert sorted(name for name in kept if name.startswith("images/")) == [
        "images/synthetic_000000.png",
        "images/synthetic_000001.png",
    ]


def test_a_model_without_silhouettes_writes_none(tmp_path):
    draw_missing(make_job(2, with_object=False), tmp_path)
    assert not (tmp_path / "objects").exists()
    assert read_pair(tmp_path, 0).files()["object"] is None


def test_guidance_changes_the_photo(tmp_path):
    draw_missing(make_job(1), tmp_path / "without")
    draw_missing(make_job(1, guidance=2.0), tmp_path / "with")
    photos = [read_image(tmp_path / n / "images/synthetic_000000.png") for n in ("with", "without")]
    assert not np.array_equal(*photos)


def test_keys_depend_on_weights_and_on_all_of_the_pairs(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = hashes_of(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert hashes_of(tmp_path) != before
    masks = np.zeros((2, 8, 6), dtype=np.uint8)
    pairs = Pairs(["a", "b"], np.zeros((2, 8, 6, 3), dtype=np.uint8), masks, masks == 0)
    others = [
        replace(pairs, ids=["a", "c"]),
        replace(pairs, images=pairs.images + 1),
        replace(pairs, masks=masks + 1),
        replace(pairs, objects=masks > 0),
    ]
    assert len({digest_of(item) for item in [pairs, *others]}) == 5


def test_pixels_are_rounded_and_cover_the_range():
    values = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    pixels = to_pixels(values)
    assert pixels.shape == (1, 1, 5, 3)
    assert pixels[0, 0, :, 0].tolist() == [0, 0, 128, 191, 255]  # 127.5 rounds to even
