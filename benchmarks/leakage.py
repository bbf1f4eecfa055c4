"""`python -m benchmarks.leakage --data <magnetic tiles>`: does the audit find what it should?

The audit sees photos and never groups.csv. Of the pairs that it reports and of the groups that it
proposes: what share of the true same-tile pairs do they hold, and what share of them is true? Does
it warn of a random split, and keep quiet on a split by tile? And does the memorisation audit find
planted copies of training photos, and leave photos alone that are none?
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter

from benchmarks.mask_codecs import as_markdown
from pipeline.audit.leakage import find_leakage
from pipeline.audit.memorisation import all_features, memorisation
from pipeline.audit.names import find_name_hint, read_names
from pipeline.audit.settings import AuditSettings
from pipeline.data.photos import read_photo
from pipeline.data.splits import SplitSettings, split_photos
from pipeline.io.atomic import write_text
from pipeline.io.errors import UserError, run
from pipeline.io.seeding import numpy_rng
from pipeline.models.photo_features import PhotoFeatures

# Called different tiles by groups.csv, and one tile by eye: the same scratches at the same places.
ONE_TILE = [
    ("tile039", "tile040", "tile041", "tile042"),
    ("tile046", "tile047"),
    ("tile023", "tile024"),
]
SPLIT = SplitSettings(train=0.6, val=0.2, test=0.2)
DRAWS = 20
PLANTED = 20


@dataclass(frozen=True)
class PhotoSet:
    """N photos uint8 N×H×W×3 in the order of their names, and what each truly shows."""

    title: str
    photos: np.ndarray
    names: list[str]
    truth: list[str]

    def manifest(self) -> pd.DataFrame:
        """As a prepared set that knows no groups."""
        return pd.DataFrame(
            {"id": self.names, "source": self.names, "group": self.names, "split": "train"}
        )


def main() -> None:
    """Command line: the data sets, their size, where to write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="magnetic tiles with groups.csv")
    parser.add_argument("--demo", type=Path, default=Path("data/demo"), help="the rendered lemons")
    parser.add_argument("--side", type=int, default=96, help="side of the photos in pixels")
    parser.add_argument("--out", type=Path, help="Markdown file for the tables")
    arguments = parser.parse_args()
    tiles = read_tiles(arguments.data, arguments.side)
    mended = PhotoSet("tiles, mended", tiles.photos, tiles.names, merge_tiles(tiles.truth))
    demo = read_demo(arguments.demo, arguments.side)
    sets = [tiles, mended, demo]
    tables = {
        "Pairs and groups that are found": [*map(found, sets), found_by_name(demo)],
        f"{DRAWS} random draws of a split, and of one photo a group": list(map(warned, sets)),
        f"{PLANTED} planted copies of each kind: tiles": planted(mended),
        f"{PLANTED} planted copies of each kind: demo": planted(demo),
    }
    text = "\n\n".join(
        f"{title}:\n\n{as_markdown(pd.DataFrame(rows))}" for title, rows in tables.items()
    )
    print(text)
    if arguments.out is not None:
        write_text(arguments.out, text + "\n")


def read_tiles(folder: Path, side: int) -> PhotoSet:
    """The photos that groups.csv lists."""
    listed = pd.read_csv(folder / "groups.csv").sort_values("image")
    photos = np.stack([_thumbnail(folder / name, side) for name in listed["image"]])
    return PhotoSet("tiles, groups.csv", photos, listed["image"].tolist(), listed["group"].tolist())


def read_demo(folder: Path, side: int) -> PhotoSet:
    """The demo's photos, whose names start with the fruit's number."""
    paths = sorted((folder / "images").glob("*.jpg"))
    if not paths:
        raise UserError(f"{folder}/images: got no photos; run dvc repro {folder}/dvc.yaml")
    names = [path.name for path in paths]
    photos = np.stack([_thumbnail(path, side) for path in paths])
    return PhotoSet("demo", photos, names, [name.split("_")[0] for name in names])


def _thumbnail(path: Path, side: int) -> np.ndarray:
    return np.array(read_photo(path).resize((side, side), Image.Resampling.BILINEAR))


def merge_tiles(groups: list[str]) -> list[str]:
    """The groups with those of `ONE_TILE` taken together."""
    first = {name: names[0] for names in ONE_TILE for name in names}
    return [first.get(group, group) for group in groups]


def found(photo_set: PhotoSet) -> dict:
    """Recall and precision of the reported pairs, and of the pairs within proposed groups."""
    leakage = find_leakage(photo_set.photos, photo_set.manifest(), AuditSettings().false_pairs)
    number = {name: index for index, name in enumerate(photo_set.names)}
    pairs = np.zeros((len(number), len(number)), bool)
    ends = [leakage.pairs[column].map(number).to_numpy(int) for column in ("first", "second")]
    pairs[ends[0], ends[1]] = pairs[ends[1], ends[0]] = True
    groups = leakage.groups.set_index("image")["group"][photo_set.names].tolist()
    return _row(f"{photo_set.title}: photos", photo_set.truth, pairs, groups)


def found_by_name(photo_set: PhotoSet) -> dict:
    """The same of the number in the file names, if the photos bear it out."""
    none = pd.DataFrame({"first_source": [], "second_source": []})
    hint = find_name_hint(photo_set.photos, photo_set.names, none)
    _, numbers = read_names(photo_set.names) if hint else ("", photo_set.names)
    return _row(f"{photo_set.title}: file names", photo_set.truth, _same(numbers), numbers)


def _row(title: str, truth: list[str], pairs: np.ndarray, groups: list[str]) -> dict:
    true, proposed = _same(truth), _same(groups)
    return {
        "set": title,
        "groups": len(set(truth)),
        "proposed": len(set(groups)),
        "pairs found": (pairs & true).sum() / true.sum(),
        "pairs true": (pairs & true).sum() / max(pairs.sum(), 1) if pairs.any() else "none",
        "in groups found": (proposed & true).sum() / true.sum(),
        "in groups true": (proposed & true).sum() / proposed.sum() if proposed.any() else "none",
    }


def _same(groups: list[str]) -> np.ndarray:
    names = np.array(groups, object)
    return (names[:, None] == names) & ~np.eye(len(names), dtype=bool)


def warned(photo_set: PhotoSet) -> dict:
    """Near-identical pairs across random splits, splits by group, and among unrelated photos."""
    false_pairs = AuditSettings().false_pairs
    pairs = find_leakage(photo_set.photos, photo_set.manifest(), false_pairs).pairs
    counts = {unit: [] for unit in ("random", "by group", "one a group")}
    nothing = np.zeros((len(photo_set.names), 0), int)
    for draw in range(DRAWS):
        for unit, groups in (("random", photo_set.names), ("by group", photo_set.truth)):
            parts = split_photos(groups, nothing, SPLIT, draw).parts
            part = dict(zip(photo_set.names, parts, strict=True))
            sides = pairs["first"].map(part) != pairs["second"].map(part)
            counts[unit].append(int(sides.sum()))
        order = numpy_rng(draw, "one a group").permutation(len(photo_set.names))
        _, one = np.unique(np.array(photo_set.truth)[order], return_index=True)
        chosen = np.sort(order[one])
        alone = photo_set.manifest().iloc[chosen]
        counts["one a group"].append(
            len(find_leakage(photo_set.photos[chosen], alone, false_pairs).pairs)
        )
    row = {"set": photo_set.title}
    for unit, found_pairs in counts.items():
        row[f"{unit}: warned"] = sum(count > 0 for count in found_pairs)
        row[f"{unit}: pairs"] = float(np.mean(found_pairs))
    return row


def planted(photo_set: PhotoSet) -> list[dict]:
    """How many planted copies, and photos that are none, the memorisation audit calls what."""
    parts = np.array(
        split_photos(photo_set.truth, np.zeros((len(photo_set.names), 0), int), SPLIT, 0).parts
    )
    train, held_out, unseen = (photo_set.photos[parts == p] for p in ("train", "val", "test"))
    rng = numpy_rng(0, "planted")
    originals = train[rng.choice(len(train), PLANTED, replace=False)]
    batches = {"none, other real photos": unseen}
    for kind, change in CHANGES.items():
        copies = [np.array(change(Image.fromarray(photo), rng)) for photo in originals]
        batches[kind] = np.stack(copies)
    network = PhotoFeatures()
    sides = train, held_out, np.concatenate(list(batches.values()))
    result = memorisation(*sides, all_features(network, *sides))
    kinds = np.repeat(list(batches), [len(batch) for batch in batches.values()])
    table = result.table.rename(
        columns={
            "pixel_suspicious": "by pixels",
            "feature_suspicious": "by features",
            "copy": "called a copy",
        }
    )
    columns = ["called a copy", "suspicious", "by pixels", "by features"]
    shares = table[columns].groupby(kinds, sort=False).mean()
    total = {
        "held-out photos": len(held_out),
        "may be suspicious": result.summary["false_alarm_rate"],
    }
    return [
        {"planted": kind, "photos": len(batches[kind]), **row.to_dict(), **total}
        for kind, row in shares.iterrows()
    ]


Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _flip(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    ways = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM)
    return photo.transpose(ways[rng.integers(2)])


def _shift(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    right, down = rng.uniform(-0.08, 0.08, 2) * photo.size
    return photo.transform(
        photo.size, Image.Transform.AFFINE, (1, 0, right, 0, 1, down), Image.Resampling.BILINEAR
    )


def _recolour(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Other gains of the three colours, in another order, and another exposure."""
    values = (np.array(photo) / 255.0) ** rng.uniform(0.6, 1.6)
    values = values[..., rng.permutation(3)] * rng.uniform(0.6, 1.1, 3)
    return Image.fromarray((255 * values.clip(0, 1)).astype(np.uint8))


def _blur(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    blurred = np.array(photo.filter(ImageFilter.GaussianBlur(photo.width / 80)), float)
    noisy = blurred + rng.normal(0, 8, blurred.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _turn(degrees: float) -> Change:
    return lambda photo, _: photo.rotate(degrees, Image.Resampling.BILINEAR)


def _enlarge(factor: float) -> Change:
    def change(photo: Image.Image, _: np.random.Generator) -> Image.Image:
        margin = [side * (1 - 1 / factor) / 2 for side in photo.size]
        return photo.transform(
            photo.size,
            Image.Transform.AFFINE,
            (1 / factor, 0, margin[0], 0, 1 / factor, margin[1]),
            Image.Resampling.BILINEAR,
        )

    return change


CHANGES: dict[str, Change] = {
    "flipped": _flip,
    "shifted by up to 8 %": _shift,
    "recoloured": _recolour,
    "flipped, shifted and recoloured": lambda p, rng: _recolour(_shift(_flip(p, rng), rng), rng),
    "blurred, with noise": _blur,
    "turned by 4°": _turn(4),
    "turned by 10°": _turn(10),
    "enlarged by 5 %": _enlarge(1.05),
    "enlarged by 15 %": _enlarge(1.15),
}


if __name__ == "__main__":
    run(main)
