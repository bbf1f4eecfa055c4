"""Drawn pairs as files of a store that outlives a killed run.

A pair's files are written one by one; what is known of the pair comes last, with the hashes of the
files before, so a pair is finished if these agree.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.io.atomic import write_json
from pipeline.io.images import sha256_of, write_image, write_mask, write_silhouette
from pipeline.io.manifests import ClassInfo


@dataclass(frozen=True)
class SyntheticPair:
    """What is known of a pair beside its files; a row of the manifest."""

    index: int
    seed: int
    mask_id: str
    has_object: bool
    mask_rejected: tuple[str, ...] = ()  # faults of masks that were drawn before this one
    mask_fault: str | None = None  # of this one

    @property
    def id(self) -> str:
        """The name of the pair's files."""
        return pair_id(self.index)

    def files(self) -> dict[str, str | None]:
        """Paths of photo, mask and silhouette relative to the set's folder."""
        name = f"{self.id}.png"
        silhouette = f"objects/{name}" if self.has_object else None
        return {"image": f"images/{name}", "mask": f"masks/{name}", "object": silhouette}


def pair_id(index: int) -> str:
    """The id of the synthetic pair of that index."""
    return f"synthetic_{index:06d}"


def is_finished(store: Path, index: int) -> bool:
    """Whether all files of the pair are in the store, as they were written.

    One that is torn or altered is told of; `store_pair` replaces it.
    """
    path = store / _facts_file(index)
    if not path.exists():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = content.pop("files")
        digest = content.pop("sha256")
        whole = digest == _digest(content, files) and files == _hashes(store, files)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        whole = False
    if not whole:
        print(f"{store}: {pair_id(index)} is damaged; it is drawn again", flush=True)
    return whole


def read_pair(store: Path, index: int) -> SyntheticPair:
    """What is known of a finished pair."""
    content = json.loads((store / _facts_file(index)).read_text(encoding="utf-8"))
    del content["files"], content["sha256"]
    return SyntheticPair(**{**content, "mask_rejected": tuple(content["mask_rejected"])})


def read_hashes(store: Path, index: int) -> dict[str, str]:
    """SHA-256 of each file of a finished pair, by its path in the store."""
    return json.loads((store / _facts_file(index)).read_text(encoding="utf-8"))["files"]


def _hashes(store: Path, files: Iterable[str]) -> dict[str, str]:
    return {name: sha256_of(store / name) for name in files}


def _digest(facts: dict[str, Any], files: dict[str, str]) -> str:
    text = json.dumps([facts, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _facts_file(index: int) -> str:
    return f"facts/{pair_id(index)}.json"


def store_pair(
    store: Path,
    pair: SyntheticPair,
    image: np.ndarray,
    mask: np.ndarray,
    silhouette: np.ndarray | None,
    classes: list[ClassInfo],
) -> None:
    """Write a pair's files, what is known of it last.

    Args:
        store: folder that outlives the run.
        pair: its names.
        image: uint8 H×W×3.
        mask: uint8 H×W, class indices.
        silhouette: bool H×W, or None.
        classes: background first; give the mask its colours.
    """
    files = pair.files()
    write_mask(store / files["mask"], mask, [item.colour for item in classes])
    if silhouette is not None:
        write_silhouette(store / files["object"], silhouette)
    write_image(store / files["image"], image)
    facts = asdict(pair) | {"mask_rejected": list(pair.mask_rejected)}  # as it is read back
    hashes = _hashes(store, filter(None, files.values()))
    content = {**facts, "files": hashes, "sha256": _digest(facts, hashes)}
    write_json(store / _facts_file(pair.index), content)
