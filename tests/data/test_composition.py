"""Which pairs a mix holds: counts, nesting, stability, content hashes."""

import itertools
import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.composition import compose_mix, spread_over_groups, write_mix
from pipeline.data.mix_settings import MixSettings
from pipeline.data.mixes import COLUMNS, read_mix
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.manifests import ClassInfo
from tests.data.manifests import manifest

CLASSES = [ClassInfo(0, "background", (0, 0, 0)), ClassInfo(1, "mould", (9, 200, 30))]
PREPARED, SYNTHETIC = Path("data/prepared"), Path("data/synthetic")


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
    with pytest.raises(UserError, match="run `dvc repro compose-mixes`"):
        read_mix(tmp_path / "other")


def test_augmentation_of_others_leaves_a_mix_alone(prepared, tmp_path):
    settings = MixSettings(real="all", synthetic=0, baseline=None)
    rows = compose_mix("mine", settings, prepared, None, 0)
    write_mix(tmp_path / "first", rows, settings, AugmentationSettings(), CLASSES)
    other = AugmentationSettings(horizontal_flip=0.5)
    renamed = settings.model_copy(update={"baseline": "another"})
    write_mix(tmp_path / "second", rows, renamed, other, CLASSES)
    assert read_mix(tmp_path / "first").sha256 == read_mix(tmp_path / "second").sha256


def test_repeated_pairs_are_spread_evenly(prepared):
    settings = MixSettings(real=8, synthetic=0, repeated=19)
    rows = compose_mix("mine", settings, prepared, None, 0)
    again = rows[rows["origin"] == "repeated"]
    assert set(again["part"]) == {"train"}
    counts = again["id"].value_counts()
    assert set(counts.index) == train_ids(rows, "real")  # of the mix's own pairs alone
    assert sorted(counts) == [2] * 5 + [3] * 3
    one = rows[rows["id"] == again["id"].iloc[0]]
    assert one["image_sha256"].nunique() == 1


@pytest.mark.parametrize(("number", "expected"), [("all", 50), ("equal", 20), (33, 33), (0, 0)])
@pytest.mark.parametrize("origin", ["repeated", "pasted"])
def test_arms_count_as_synthetic_pairs_do(prepared, origin, number, expected):
    """So that a mix with them is as large as the one with synthetic pairs."""
    asked = []

    def paste(real, count):
        asked.append((sorted(real["id"]), count))
        return Path("data/mixes/mine"), manifest([f"pasted_{index}" for index in range(count)])

    settings = MixSettings(real=8, synthetic=0, **{origin: number})
    kept = synthetic(50) if settings.counts_synthetic else None
    assert (kept is not None) == (number == "all")
    rows = compose_mix("mine", settings, prepared, kept, 0, paste)
    assert (rows["origin"] == origin).sum() == expected
    assert (rows["origin"] == "synthetic").sum() == 0
    if origin == "pasted" and expected:
        assert asked == [(sorted(train_ids(rows, "real")), expected)]
        assert set(rows.loc[rows["origin"] == "pasted", "folder"]) == {"data/mixes/mine"}


def test_a_mix_without_arms_keeps_its_bytes(prepared, tmp_path):
    """As they were before there were arms: the segmenters of old mixes are not trained again."""
    settings = MixSettings(real=6, synthetic="equal")
    rows = compose_mix("mine", settings, prepared, synthetic(50), 0)
    write_mix(tmp_path / "mine", rows, settings, AugmentationSettings(), CLASSES)
    summary = json.loads((tmp_path / "mine/mix.json").read_text())
    assert summary["settings"] == {"real": 6, "synthetic": "equal", "augment": False}
    assert list(summary) == ["settings", "pairs", "augmentation", "classes"]
    assert (
        sha256_of(tmp_path / "mine/mix.json")
        == "30d65b422e87235c5b436e3c129840cee98ad4f8541ecf291cca9f3a1f57ebb9"
    )
    assert (
        sha256_of(tmp_path / "mine/manifest.parquet")
        == "369281634a480bb51134264939efcfeed9f53ed34f4b92639e837c290c4cc548"
    )


def test_a_mix_says_which_arms_it_has(prepared, tmp_path):
    settings = MixSettings(real="all", synthetic=0, repeated=30)
    rows = compose_mix("mine", settings, prepared, None, 0)
    write_mix(tmp_path / "mine", rows, settings, AugmentationSettings(), CLASSES)
    summary = json.loads((tmp_path / "mine/mix.json").read_text())
    assert summary["settings"]["repeated"] == 30
    assert "pasted" not in summary["settings"]
    assert summary["pairs"]["train_repeated"] == 30 and summary["pairs"]["train_real"] == 20
