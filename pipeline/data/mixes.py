"""Training mixes of real and synthetic pairs (the thesis's chapter 7.1.2).

A mix is a table of pairs with their content hashes, so that a segmenter depends on what it trains
on and on nothing else: synthetic pairs that change leave a mix without them, byte for byte, as it
was. Its validation and test pairs are always the real ones.

Subsets are nested and stable: pairs are ordered by a hash of the seed and their id, and a subset
is the start of that order. Adding pairs to a set never reorders the ones that were there.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import field_validator

from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.pairs import Pairs, load_pairs
from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.manifests import ClassInfo
from pipeline.io.params import Settings, parse, value
from pipeline.io.seeding import derive_seed

COLUMNS = [
    "part", "origin", "folder", "id", "image", "mask", "group", "image_sha256", "mask_sha256",
]  # fmt: skip
MANIFEST = "manifest.parquet"
SUMMARY = "mix.json"


class MixSettings(Settings):
    """How many pairs of each origin to train on."""

    real: int | str  # "all", or that many of the training part
    synthetic: int | str  # "all", "equal" (as many as the training part has) or that many
    augment: bool = False  # whether `segmenters.augmentation` applies in training
    baseline: str | None = None  # mix to compare with; None = `segmenters.baseline`

    @field_validator("real")
    @classmethod
    def _real_is_known(cls, number: int | str) -> int | str:
        return _known_number(number, ["all"])

    @field_validator("synthetic")
    @classmethod
    def _synthetic_is_known(cls, number: int | str) -> int | str:
        return _known_number(number, ["all", "equal"])


@dataclass(frozen=True)
class Mix:
    """A composed mix: `rows` has the columns `COLUMNS`; `augmentation` is None without."""

    name: str
    rows: pd.DataFrame
    classes: list[ClassInfo]
    augmentation: AugmentationSettings | None
    sha256: list[str]  # of its two files

    def part(self, name: str) -> pd.DataFrame:
        """The rows of `train`, `val` or `test`."""
        return self.rows[self.rows["part"] == name].reset_index(drop=True)


def read_mixes(params: dict[str, Any]) -> dict[str, MixSettings]:
    """All mixes of the parameters, by name.

    Raises:
        UserError: an entry is wrong or empty, or a baseline names no mix.
    """
    entries = value("segmenters.mixes", params)
    if not isinstance(entries, dict) or not entries:
        raise UserError(f"segmenters.mixes: got {entries!r}, expected a map of name to mix")
    mixes = {
        name: parse(MixSettings, f"segmenters.mixes.{name}", entry)
        for name, entry in entries.items()
    }
    baselines = {"segmenters.baseline": value("segmenters.baseline", params)} | {
        f"segmenters.mixes.{name}.baseline": mix.baseline
        for name, mix in mixes.items()
        if mix.baseline is not None
    }
    for where, baseline in baselines.items():
        if baseline not in mixes:
            raise UserError(f"{where}: got {baseline!r}, expected a mix: {', '.join(mixes)}")
    for name, mix in mixes.items():
        if mix.real == 0 and mix.synthetic == 0:
            raise UserError(
                f"segmenters.mixes.{name}: got real 0 and synthetic 0, expected pairs to train on; "
                "raise one of the two or remove the mix"
            )
    return mixes


def compose_mix(
    name: str,
    settings: MixSettings,
    prepared: tuple[Path, pd.DataFrame],
    synthetic: tuple[Path, pd.DataFrame] | None,
    seed: int,
) -> pd.DataFrame:
    """The rows of a mix, with the columns `COLUMNS`.

    Args:
        name: of the mix, for messages.
        settings: how many pairs of each origin.
        prepared: folder and manifest of the prepared set.
        synthetic: folder and manifest of the synthetic pairs that the filter kept; may be None
            for a mix without any.
        seed: decides which pairs a subset takes.

    Raises:
        UserError: the mix asks for more pairs than there are.
    """
    folder, frame = prepared
    real = frame[frame["split"] == "train"]
    wanted_real = len(real) if settings.real == "all" else int(settings.real)
    _check_enough(f"segmenters.mixes.{name}.real", wanted_real, len(real), "training pairs")
    parts = [_rows("train", "real", folder, spread_over_groups(real, wanted_real, seed))]
    if settings.synthetic != 0:
        assert synthetic is not None, name
        parts.append(_choose_synthetic(name, settings, synthetic, len(real), seed))
    for part in ("val", "test"):
        parts.append(_rows(part, "real", folder, frame[frame["split"] == part]))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def spread_over_groups(frame: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """The first `count` pairs of a stable order that takes a pair of each group in turn.

    A few real pairs then show as many fruits, tiles or videos as they can. A pair without group
    is its own group.
    """
    ordered = _shuffled(frame, seed)
    groups = ordered["group"].astype(object).where(ordered["group"].notna(), ordered["id"])
    turn = groups.groupby(groups).cumcount()
    within_turn = groups.map(lambda group: derive_seed(seed, "mix-group", str(group)))
    order = np.lexsort([within_turn.to_numpy(), turn.to_numpy()])
    return ordered.iloc[order[:count]]


def write_mix(
    folder: Path,
    rows: pd.DataFrame,
    settings: MixSettings,
    augmentation: AugmentationSettings,
    classes: list[ClassInfo],
) -> None:
    """Write manifest.parquet and mix.json; the same rows give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(folder / MANIFEST, index=False)
    sizes = rows.groupby(["part", "origin"]).size()
    summary = {
        # without the baseline, which only the report looks at
        "settings": settings.model_dump(exclude={"baseline"}),
        "pairs": {f"{part}_{origin}": int(size) for (part, origin), size in sizes.items()},
        "augmentation": augmentation.model_dump() if settings.augment else None,
        "classes": [asdict(item) for item in classes],
    }
    write_json(folder / SUMMARY, summary)


def read_mix(folder: Path) -> Mix:
    """A mix as `write_mix` left it; its name is the folder's."""
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        rows = pd.read_parquet(folder / MANIFEST)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: not found; run compose-mixes@{folder.name}") from None
    augmentation = summary["augmentation"]
    return Mix(
        name=folder.name,
        rows=rows,
        classes=[
            ClassInfo(item["index"], item["name"], tuple(item["colour"]))
            for item in summary["classes"]
        ],
        augmentation=augmentation and parse(AugmentationSettings, SUMMARY, augmentation),
        sha256=[sha256_of(folder / name) for name in (MANIFEST, SUMMARY)],
    )


def load_mix_pairs(rows: pd.DataFrame, total_classes: int) -> Pairs:
    """The pairs of some rows of a mix, each file compared with its content hash.

    Raises:
        UserError: files that are missing or differ from the mix's; real and synthetic pairs of
            different sizes; a class index the set does not have.
    """
    # without sorting the order of the rows is kept, which hold one folder after the other
    loaded = [
        load_pairs(Path(folder), of_folder, verify=True)
        for folder, of_folder in rows.groupby("folder", sort=False)
    ]
    sizes = {pairs.images.shape[1:3] for pairs in loaded}
    if len(sizes) > 1:
        raise UserError(
            f"{' and '.join(rows['folder'].unique())}: photos of different sizes "
            f"(height, width): {sorted(sizes)}; sample again at the prepared set's size"
        )
    pairs = Pairs(
        ids=[item for part in loaded for item in part.ids],
        images=np.concatenate([part.images for part in loaded]),
        masks=np.concatenate([part.masks for part in loaded]),
        objects=None,
    )
    largest = pairs.masks.reshape(len(pairs), -1).max(axis=1)
    if largest.max() >= total_classes:
        row = rows.iloc[int(largest.argmax())]
        raise UserError(
            f"{Path(row['folder']) / row['mask']}: class index {largest.max()}, expected "
            f"0 to {total_classes - 1}; prepare or sample the set again"
        )
    return pairs


def _choose_synthetic(
    name: str,
    settings: MixSettings,
    synthetic: tuple[Path, pd.DataFrame],
    total_real: int,
    seed: int,
) -> pd.DataFrame:
    folder, frame = synthetic
    numbers = {"all": len(frame), "equal": total_real}
    wanted = numbers.get(settings.synthetic, settings.synthetic)
    remedy = "kept synthetic pairs; raise sampling.count or filter.keep, or ask for fewer"
    _check_enough(f"segmenters.mixes.{name}.synthetic", max(wanted, 1), len(frame), remedy)
    return _rows("train", "synthetic", folder, _shuffled(frame, seed).iloc[:wanted])


def _shuffled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Ordered by a hash of seed and id."""
    keys = [derive_seed(seed, "mix", str(item)) for item in frame["id"]]
    return frame.iloc[np.argsort(keys)]


def _rows(part: str, origin: str, folder: Path, frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.sort_values("id")
    if "group" not in frame:
        frame = frame.assign(group=None)
    return frame.assign(part=part, origin=origin, folder=folder.as_posix())[COLUMNS]


def _check_enough(where: str, wanted: int, available: int, what: str) -> None:
    if wanted > available:
        raise UserError(f"{where}: asks for {wanted}, expected at most {available} {what}")


def _known_number(number: int | str, words: list[str]) -> int | str:
    if isinstance(number, bool) or (number not in words if isinstance(number, str) else number < 0):
        raise ValueError(f"{' or '.join(words)} or a number from 0")
    return number
