"""Which pairs a mix holds (the thesis's chapter 7.1.2).

Subsets are nested and stable: pairs are ordered by a hash of the seed and their id, and a subset
is the start of that order. Adding pairs to a set never reorders the ones that were there.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.mix_settings import Further, MixSettings
from pipeline.data.mixes import COLUMNS, MANIFEST, SUMMARY
from pipeline.io.atomic import write_json
from pipeline.io.errors import UserError
from pipeline.io.manifests import ClassInfo
from pipeline.io.seeding import derive_seed

PairSet = tuple[Path, pd.DataFrame]  # folder and manifest
Paste = Callable[[pd.DataFrame, int], PairSet]


def compose_mix(
    name: str,
    settings: MixSettings,
    prepared: PairSet,
    synthetic: PairSet | None,
    seed: int,
    paste: Paste | None = None,
) -> pd.DataFrame:
    """The rows of a mix, with the columns `mixes.COLUMNS`.

    Args:
        name: of the mix, for messages.
        settings: how many pairs of each origin.
        prepared: folder and manifest of the prepared set.
        synthetic: folder and manifest of the synthetic pairs that the filter kept; may be None
            for a mix that does not count them.
        seed: decides which pairs a subset takes.
        paste: makes that many pasted pairs of some rows of the prepared manifest; may be None for
            a mix without any.

    Raises:
        UserError: the mix asks for more pairs than there are.
    """
    folder, frame = prepared
    train = frame[frame["split"] == "train"]
    wanted = len(train) if settings.real == "all" else int(settings.real)
    _check_enough(f"segmenters.mixes.{name}.real", wanted, len(train), "training pairs")
    real = spread_over_groups(train, wanted, seed)
    parts = [_rows("train", "real", folder, real)]

    def number(origin: Further) -> int:
        total_synthetic = 0 if synthetic is None else len(synthetic[1])
        words = {"all": total_synthetic, "equal": len(train)}
        count = getattr(settings, origin)
        return words.get(count, count)

    if settings.repeated != 0:
        again = repeat_evenly(real, number("repeated"))
        parts.append(_rows("train", "repeated", folder, again))
    if settings.synthetic != 0:
        assert synthetic is not None, name
        chosen = _choose_synthetic(name, number("synthetic"), synthetic[1], seed)
        parts.append(_rows("train", "synthetic", synthetic[0], chosen))
    if settings.pasted != 0:
        assert paste is not None, name
        parts.append(_rows("train", "pasted", *paste(real, number("pasted"))))
    for part in ("val", "test"):
        parts.append(_rows(part, "real", folder, frame[frame["split"] == part]))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


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
        "settings": settings.described(),
        "pairs": {f"{part}_{origin}": int(size) for (part, origin), size in sizes.items()},
        "augmentation": augmentation.model_dump() if settings.augment else None,
        "classes": [asdict(item) for item in classes],
    }
    write_json(folder / SUMMARY, summary)


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


def repeat_evenly(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` rows that go round those of `frame`, each as often as any other or once more."""
    return frame.iloc[np.arange(count) % len(frame)]


def _choose_synthetic(name: str, wanted: int, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    remedy = "kept synthetic pairs; raise sampling.count or filter.keep, or ask for fewer"
    _check_enough(f"segmenters.mixes.{name}.synthetic", max(wanted, 1), len(frame), remedy)
    return _shuffled(frame, seed).iloc[:wanted]


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
