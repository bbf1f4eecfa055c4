"""What a segmenter says about images, and the pixel counts that all its scores come from."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from segmentation_models_pytorch.metrics import get_stats

from pipeline.data.pairs import Pairs
from pipeline.io.manifests import ClassInfo
from pipeline.models.segmenters import Segmenter

BATCH_SIZE = 32


def to_input(images: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """uint8 N×H×W×3 as float N×3×H×W in [−1, 1] on `device`."""
    pixels = torch.from_numpy(images).to(device)
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0


def score_batches(network: Segmenter, images: np.ndarray) -> Iterator[tuple[slice, torch.Tensor]]:
    """Class scores in evaluation mode, batch by batch: positions and float n×C×H×W on the CPU."""
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(images), BATCH_SIZE):
            where = slice(start, min(start + BATCH_SIZE, len(images)))
            yield where, network(to_input(images[where], device)).float().cpu()


def predict(network: Segmenter, images: np.ndarray) -> np.ndarray:
    """The likeliest class of each pixel, uint8 N×H×W, for images uint8 N×H×W×3."""
    batches = [logits.argmax(dim=1) for _, logits in score_batches(network, images)]
    return torch.cat(batches).numpy().astype(np.uint8)


def count_pixels(predicted: np.ndarray, truth: np.ndarray, total_classes: int) -> np.ndarray:
    """int64 N×C×4, TP, FP, FN and TN of each image and class, from two uint8 N×H×W."""
    stats = get_stats(
        torch.from_numpy(predicted).long(),
        torch.from_numpy(truth).long(),
        mode="multiclass",
        num_classes=total_classes,
    )
    return torch.stack(stats, dim=2).numpy()


def counts_table(
    counts: np.ndarray, pairs: pd.DataFrame, classes: list[ClassInfo], **run: str | int
) -> pd.DataFrame:
    """The rows of counts.parquet: one an image and class, background included.

    Args:
        counts: int N×C×4 as `count_pixels` gives.
        pairs: the N images' rows of the manifest, with `id` and `group`.
        classes: the C classes.
        run: what else identifies the rows, e.g. `architecture`, `mix` and `seed`.
    """
    total_images, total_classes, _ = counts.shape
    flat = counts.reshape(-1, 4)
    return pd.DataFrame(
        {
            **run,
            "id": pairs["id"].repeat(total_classes).to_numpy(),
            "group": pairs["group"].repeat(total_classes).to_numpy(),
            "class_index": np.tile([item.index for item in classes], total_images),
            "class": np.tile([item.name for item in classes], total_images),
            **{name: flat[:, column] for column, name in enumerate(("tp", "fp", "fn", "tn"))},
        }
    )


def draw_examples(
    pairs: Pairs,
    predictions: Sequence[np.ndarray],
    classes: list[ClassInfo],
    count: int,
    tile_px: int = 128,
) -> np.ndarray:
    """uint8 picture: a row each of `count` evenly spaced photos, truths and each prediction."""
    chosen = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    palette = np.array([item.colour for item in classes], dtype=np.uint8)
    factor = max(1, tile_px // max(pairs.images.shape[1:3]))
    labels = [pairs.masks, *predictions]
    rows = [pairs.images[chosen], *(palette[masks[chosen]] for masks in labels)]
    framed = [np.pad(row, [(0, 0), (0, 1), (0, 1), (0, 0)], constant_values=255) for row in rows]
    picture = np.concatenate([np.concatenate(list(row), axis=1) for row in framed])
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)
