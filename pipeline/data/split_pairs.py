"""The training or validation pairs of a prepared set, as a generative model is trained on them."""

from dataclasses import replace
from pathlib import Path

from pipeline.data.pairs import Pairs, load_pairs
from pipeline.data.reduction import reduce_pairs
from pipeline.io.errors import UserError
from pipeline.io.manifests import read_split


def read_pairs(prepared: Path, split: str, with_object: bool, reduction: int = 1) -> Pairs | None:
    """The pairs of a split, `train` or `val`; None = it has none.

    Args:
        prepared: the set's folder.
        split: see above.
        with_object: whether silhouettes are wanted.
        reduction: factor by which the sides become smaller.

    Raises:
        UserError: the set has no silhouettes, or no training pairs; files that cannot be used.
    """
    frame = read_split(prepared, split)
    if frame.empty and split == "train":
        raise UserError(f"{prepared}: got 0 training pairs, expected at least 1; check split.*")
    if frame.empty:
        return None
    pairs = load_pairs(prepared, frame, verify=True)
    if with_object and pairs.objects is None:
        raise UserError(
            f"condition.object: got true, but {prepared} has no silhouettes; set "
            "dataset.object.source, or condition.object to false"
        )
    pairs = pairs if with_object else replace(pairs, objects=None)
    return reduce_pairs(pairs, reduction)
