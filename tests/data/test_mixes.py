"""Composition of mixes: counts, nesting, stability, content hashes."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.mixes import (
    COLUMNS,
    MixSettings,
    compose_mix,
    load_mix_pairs,
    read_mix,
    read_mixes,
    spread_over_groups,
    write_mix,
)
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of, write_image, write_mask
from pipeline.io.manifests import ClassInfo

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "mould", (9, 200, 30))]
PREPARED, SYNTHETIC = Path("data/prepared"), Path("data/synthetic")


def manifest(ids: list[str], **columns) -> pd.DataFrame:
    frame = pd.DataFrame({"id": ids, **columns})
    for name in ("image", "mask"):
        frame[name] = f"{name}s/" + frame["id"] + ".png"
        frame[f"{name}_sha256"] = "hash-of-" + frame[name]
    return frame


@pytest.fixture
def prepared() -> tuple[Path, pd.DataFrame]:
    """20 training pairs of 5 fruits, 3 to validate, 4 to test."""
    parts = ["train"] * 20 + ["val"] * 3 + ["test"] * 4
    ids = [f"real_{index:02d}" for index in range(27)]
    return PREPARED, manifest(ids, split=parts, group=[str(index % 5) for index in range(27)])


def synthetic(total: int) -> tuple[Path, pd.DataFrame]:
    return SYNTHETIC, manifest([f"synthetic_{index:06d}" for index in range(60)]).iloc[:total]


def compose(prepared, real, number, total=50, seed=0) -> pd.DataFrame:
    settings = MixSettings(real=real, synthetic=number)
    return compose_mix("mine", settings, prepared, synthetic(total), seed)


def train_ids(rows: pd.DataFrame, origin: str) -> set[str]:
    return set(rows.loc[(rows["part"] == "train") & (rows["origin"] == origin), "id"])


@pytest.mark.parametrize(
    ("real", "number", "expected"),
    [
        ("all", 0, (20, 0)),
        ("all", "equal", (20, 20)),
        ("all", 7, (20, 7)),
        (0, "all", (0, 50)),
        (0, "equal", (0, 20)),  # as many as there are real training pairs, used or not
        (8, "all", (8, 50)),
    ],
)
def test_counts(prepared, real, number, expected):
    rows = compose(prepared, real, number)
    assert rows.columns.tolist() == COLUMNS
    assert (len(train_ids(rows, "real")), len(train_ids(rows, "synthetic"))) == expected
    rest = rows[rows["part"] != "train"]
    assert rest["part"].value_counts().to_dict() == {"val": 3, "test": 4}
    assert set(rest["origin"]) == {"real"}
    assert rows["folder"].map(
        {"data/prepared": "real", "data/synthetic": "synthetic"}
    ).tolist() == (rows["origin"].tolist())


def test_subsets_are_nested(prepared):
    for origin, mixes in {
        "real": [compose(prepared, count, 0) for count in (2, 5, 11, 20)],
        "synthetic": [compose(prepared, 0, count) for count in (2, 10, 30, 50)],
    }.items():
        sets = [train_ids(rows, origin) for rows in mixes]
        assert all(small < large for small, large in itertools.pairwise(sets))


def test_subsets_depend_on_the_seed_and_not_on_the_order_of_rows(prepared):
    folder, frame = prepared
    shuffled = frame.sample(frac=1, random_state=1)
    assert compose((folder, shuffled), 6, 5).equals(compose(prepared, 6, 5))
    assert train_ids(compose(prepared, 0, 5), "synthetic") != train_ids(
        compose(prepared, 0, 5, seed=1), "synthetic"
    )


def test_more_samples_never_reorder_the_old_ones(prepared):
    few, many = (train_ids(compose(prepared, 0, 10, total), "synthetic") for total in (30, 60))
    old = {f"synthetic_{index:06d}" for index in range(30)}
    assert many & old <= few


def test_few_real_pairs_show_as_many_fruits_as_they_can(prepared):
    _, frame = prepared
    train = frame[frame["split"] == "train"]
    assert spread_over_groups(train, 5, seed=0)["group"].nunique() == 5
    assert set(spread_over_groups(train, 10, seed=0)["group"].value_counts()) == {2}
    without = train.assign(group=None)
    assert spread_over_groups(without, 7, seed=0)["id"].nunique() == 7


def test_mix_without_synthetic_pairs_does_not_see_them(prepared, tmp_path):
    settings = MixSettings(real="all", synthetic=0)
    for name, others in (("first", synthetic(50)), ("second", None)):
        rows = compose_mix("mine", settings, prepared, others, 0)
        write_mix(tmp_path / name, rows, settings, AugmentationSettings(), CLASSES)
    for file in ("manifest.parquet", "mix.json"):
        assert sha256_of(tmp_path / "first" / file) == sha256_of(tmp_path / "second" / file)


def test_changed_pixels_change_the_mix(prepared):
    folder, frame = prepared
    changed = frame.assign(
        image_sha256=frame["image_sha256"].replace({"hash-of-images/real_26.png": "x"})
    )
    assert not compose((folder, changed), "all", 0).equals(compose(prepared, "all", 0))


@pytest.mark.parametrize(
    ("real", "number", "message"),
    [
        (21, 0, "segmenters.mixes.mine.real: asks for 21, expected at most 20 training pairs"),
        (0, 51, "segmenters.mixes.mine.synthetic: asks for 51, expected at most 50 kept"),
    ],
)
def test_asking_for_too_many(prepared, real, number, message):
    with pytest.raises(UserError, match=message):
        compose(prepared, real, number)


def test_all_of_no_synthetic_pairs_is_refused(prepared):
    with pytest.raises(UserError, match="expected at most 0 kept synthetic pairs"):
        compose(prepared, 0, "all", total=0)


def test_written_and_read_again(prepared, tmp_path):
    settings = MixSettings(real=6, synthetic="all", augment=True)
    rows = compose_mix("mine", settings, prepared, synthetic(4), 0)
    augmentation = AugmentationSettings(horizontal_flip=0.5)
    write_mix(tmp_path / "mine", rows, settings, augmentation, CLASSES)
    mix = read_mix(tmp_path / "mine")
    assert (mix.name, mix.classes, mix.augmentation) == ("mine", CLASSES, augmentation)
    assert mix.part("train")["id"].tolist() == rows["id"].iloc[:10].tolist()
    with pytest.raises(UserError, match="run compose-mixes@other"):
        read_mix(tmp_path / "other")


def test_augmentation_of_others_leaves_a_mix_alone(prepared, tmp_path):
    settings = MixSettings(real="all", synthetic=0, baseline=None)
    rows = compose_mix("mine", settings, prepared, None, 0)
    write_mix(tmp_path / "first", rows, settings, AugmentationSettings(), CLASSES)
    other = AugmentationSettings(horizontal_flip=0.5)
    renamed = settings.model_copy(update={"baseline": "another"})
    write_mix(tmp_path / "second", rows, renamed, other, CLASSES)
    assert read_mix(tmp_path / "first").sha256 == read_mix(tmp_path / "second").sha256


GOOD = {"real_all": {"real": "all", "synthetic": 0}}


@pytest.mark.parametrize(
    ("mixes", "baseline", "message"),
    [
        (
            GOOD | {"b": {"real": 0, "synthetic": 0}},
            "real_all",
            "mixes.b: got real 0 and synthetic 0",
        ),
        (GOOD, "real", "segmenters.baseline: got 'real', expected a mix: real_all"),
        (
            GOOD | {"b": {"real": 4, "synthetic": 0, "baseline": "c"}},
            "real_all",
            "segmenters.mixes.b.baseline: got 'c'",
        ),
        ({"b": {"real": "most", "synthetic": 0}}, "b", "mixes.b.real: got 'most', expected all or"),
        ({"b": {"real": "equal", "synthetic": 0}}, "b", "mixes.b.real: got 'equal'"),
        ({"b": {"real": 1, "synthetic": -1}}, "b", "mixes.b.synthetic: got -1"),
        ({"b": {"real": 1, "synthetc": 1}}, "b", "mixes.b.synthetc: unknown parameter"),
        ({}, "b", "segmenters.mixes: got {}"),
    ],
)
def test_wrong_entries_are_named(mixes, baseline, message):
    with pytest.raises(UserError, match=message.replace("{}", r"\{\}")):
        read_mixes({"segmenters": {"mixes": mixes, "baseline": baseline}})


@pytest.fixture
def on_disk(tmp_path, monkeypatch) -> pd.DataFrame:
    """A mix of two real pairs and a synthetic one, with files; the working folder is theirs."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frames = []
    for folder, ids in ((PREPARED, ["b", "a"]), (SYNTHETIC, ["s"])):
        frame = manifest(ids)
        for place, row in frame.iterrows():
            image = rng.integers(0, 255, size=(4, 5, 3)).astype(np.uint8)
            write_image(folder / row["image"], image)
            write_mask(folder / row["mask"], image[..., 0] % 2, [(0, 0, 0), (255, 0, 0)])
            for name in ("image", "mask"):
                frame.loc[place, f"{name}_sha256"] = sha256_of(folder / row[name])
        frames.append(frame.assign(folder=folder.as_posix(), group=None))
    return pd.concat(frames, ignore_index=True)


def test_pairs_come_in_the_order_of_the_rows(on_disk):
    pairs = load_mix_pairs(on_disk, total_classes=2)
    assert pairs.ids == ["b", "a", "s"]
    assert pairs.images.shape == (3, 4, 5, 3)
    assert np.array_equal(pairs.masks, pairs.images[..., 0] % 2)


def test_changed_file_is_named(on_disk):
    path = SYNTHETIC / "images/s.png"
    write_image(path, np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(UserError, match=str(path)):
        load_mix_pairs(on_disk, total_classes=2)


def test_surplus_class_is_named(on_disk):
    with pytest.raises(UserError, match=r"masks/.*class index 1, expected 0 to 0"):
        load_mix_pairs(on_disk, total_classes=1)


def test_sizes_must_agree(on_disk):
    row = on_disk.index[on_disk["id"] == "s"][0]
    write_image(SYNTHETIC / "images/s.png", np.zeros((6, 6, 3), np.uint8))
    write_mask(SYNTHETIC / "masks/s.png", np.zeros((6, 6), np.uint8), [(0, 0, 0)])
    for name in ("image", "mask"):
        on_disk.loc[row, f"{name}_sha256"] = sha256_of(SYNTHETIC / on_disk.loc[row, name])
    with pytest.raises(UserError, match="different sizes"):
        load_mix_pairs(on_disk, total_classes=2)
