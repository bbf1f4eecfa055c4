"""Pairs to look at: a photo beside the same photo under its mask.

Real pairs come from the training split only: the test photos are for the segmenters' last step.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from pipeline.io.images import read_image, read_mask, read_silhouette, write_image
from pipeline.io.manifests import ClassInfo
from pipeline.io.seeding import numpy_rng

TILE_PX = 192
MASK_PX = 128
FILL = 0.35
GAP_PX = 6
TITLE_PX = 40
PAPER = 255
OBJECT_GREY = 96  # the object's silhouette under a mask


@dataclass(frozen=True)
class Tile:
    """One pair of the page: files relative to the page, their size in pixels, and words."""

    photo: str
    overlay: str
    width: int
    height: int
    name: str
    classes: list[str]
    note: str = ""


def choose(frame: pd.DataFrame, count: int, seed: int, name: str) -> pd.DataFrame:
    """`count` rows drawn at random, each class in turn where there are several; ordered by id.

    Args:
        frame: rows of a manifest with `id` and `classes`.
        count: rows wanted; fewer if there are fewer.
        seed: the project's seed.
        name: what is drawn, so that two drawings differ.
    """
    shuffled = frame.iloc[numpy_rng(seed, "report", name).permutation(len(frame))]
    first = shuffled["classes"].map(lambda names: names[0] if len(names) else "")
    turn = first.groupby(first, sort=False).cumcount()
    rows = shuffled.assign(turn=turn).sort_values("turn", kind="stable").head(count)
    return rows.drop(columns="turn").sort_values("id", ignore_index=True)


def draw_pair(folder: Path, row: pd.Series, classes: list[ClassInfo]) -> list[np.ndarray]:
    """A manifest row's photo and the photo under its mask, `TILE_PX` at the longer side.

    Small photos are enlarged, so that the outline is finer than their pixels.
    """
    image, mask = read_image(folder / row["image"]), read_mask(folder / row["mask"])
    height, width = mask.shape
    scale = TILE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))  # Pillow: width, height
    photo = np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    labels = np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    return [photo, overlay(photo, labels, classes)]


def draw_mask(folder: Path, row: pd.Series, classes: list[ClassInfo]) -> np.ndarray:
    """A manifest row's mask in the colours of its classes, over the object's silhouette in grey.

    Returns:
        uint8 H×W×3, about `MASK_PX` at the longer side: enlarged or reduced by a whole factor.
    """
    mask = read_mask(folder / row["mask"])
    painted = np.array([item.colour for item in classes], dtype=np.uint8)[mask]  # H×W×3
    if not pd.isna(row["object"]):
        painted[read_silhouette(folder / row["object"]) & (mask == 0)] = OBJECT_GREY
    side = max(mask.shape)
    if side > MASK_PX:
        step = side // MASK_PX
        return painted[::step, ::step]
    factor = MASK_PX // side
    return painted.repeat(factor, axis=0).repeat(factor, axis=1)


def overlay(image: np.ndarray, mask: np.ndarray, classes: list[ClassInfo]) -> np.ndarray:
    """The photo (uint8 H×W×3) with each class filled thinly and outlined in its colour."""
    shown = image.astype(float)
    for item in classes[1:]:
        region = mask == item.index
        colour = np.array(item.colour, dtype=float)
        shown[region] = (1 - FILL) * shown[region] + FILL * colour
        shown[region & ~ndimage.binary_erosion(region, iterations=2, border_value=1)] = colour
    return shown.round().astype(np.uint8)


def write_tiles(
    page_folder: Path,
    prefix: str,
    data_folder: Path,
    rows: pd.DataFrame,
    classes: list[ClassInfo],
) -> list[Tile]:
    """Write the pictures of `rows` to `<page_folder>/images/<prefix>_…`.

    A column `note` of `rows`, if there is one, becomes the tile's second line.
    """
    tiles = []
    for index, row in rows.reset_index(drop=True).iterrows():
        pictures = draw_pair(data_folder, row, classes)
        files = [f"images/{prefix}_{index:03d}_{part}.png" for part in ("photo", "mask")]
        for file, picture in zip(files, pictures, strict=True):
            write_image(page_folder / file, picture)
        height, width = pictures[0].shape[:2]
        names = [str(name) for name in row["classes"]]
        note = str(row.get("note", ""))
        tiles.append(Tile(files[0], files[1], width, height, str(row["id"]), names, note))
    return tiles


def sheet(blocks: dict[str, list[list[np.ndarray]]], rows: int) -> np.ndarray:
    """One picture of titled blocks side by side: real pairs left, synthetic ones right.

    Args:
        blocks: title → pairs (photo and overlay, or one picture; uint8, all of one size). An
            empty title takes no room.
        rows: pairs below one another.

    Returns:
        uint8 H×W×3 on white.
    """
    drawn = [_block(title, pairs, rows) for title, pairs in blocks.items()]
    gap = np.full((drawn[0].shape[0], 4 * GAP_PX, 3), PAPER, dtype=np.uint8)
    parts = [part for block in drawn for part in (block, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _block(title: str, pairs: list[list[np.ndarray]], rows: int) -> np.ndarray:
    height, width = pairs[0][0].shape[:2]
    parts, above = len(pairs[0]), TITLE_PX if title else 0
    gap = GAP_PX if parts == 1 else 2 * GAP_PX  # pictures of a pair stand closer together
    step = parts * (width + GAP_PX) - GAP_PX + gap
    across = -(-len(pairs) // rows)
    size = (across * step - gap, above + rows * (height + GAP_PX) - GAP_PX)
    block = Image.new("RGB", size, (PAPER,) * 3)
    font = ImageFont.load_default(size=TITLE_PX * 0.6)
    ImageDraw.Draw(block).text((0, TITLE_PX * 0.1), title, fill=(30, 30, 30), font=font)
    for index, pair in enumerate(pairs):
        top = above + (index % rows) * (height + GAP_PX)
        left = (index // rows) * step
        for part, picture in enumerate(pair):
            block.paste(Image.fromarray(picture), (left + part * (width + GAP_PX), top))
    return np.array(block)
