"""A mix of real and further pairs that a segmenter is trained on, as a folder.

A mix is a table of pairs with their content hashes, so that a segmenter depends on what it trains
on and on nothing else: synthetic pairs that change leave a mix without them, byte for byte, as it
was. Its validation and test pairs are always the real ones.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.pairs import Pairs, load_pairs
from pipeline.io.arrays import joined
from pipeline.io.errors import UserError
from pipeline.io.images import sha256_of
from pipeline.io.manifests import ClassInfo
from pipeline.io.outs import written_by
from pipeline.io.params import parse

COLUMNS = [
    "part", "origin", "folder", "id", "image", "mask", "group", "image_sha256", "mask_sha256",
]  # fmt: skip
MANIFEST = "manifest.parquet"
SUMMARY = "mix.json"
STAGE = "compose-mixes"  # that writes them


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


def read_mix(folder: Path) -> Mix:
    """A mix as `composition.write_mix` left it; its name is the folder's."""
    with written_by(STAGE, folder / SUMMARY):
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        augmentation = summary["augmentation"]
        classes = [
            ClassInfo(item["index"], item["name"], tuple(item["colour"]))
            for item in summary["classes"]
        ]
    with written_by(STAGE, folder / MANIFEST):
        rows = pd.read_parquet(folder / MANIFEST)
    return Mix(
        name=folder.name,
        rows=rows,
        classes=classes,
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
        images=joined([part.images for part in loaded]),
        masks=joined([part.masks for part in loaded]),
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
