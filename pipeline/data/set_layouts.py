"""How the pairs of a synthetic set lie in its folder: as a file each, or in shards.

Readers need not know: the manifest's paths lead to the same bytes either way
(`pipeline.io.shards`). What other programs want to know of a pair goes where they look for it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from pipeline.data.export import describe, write_image_folder_metadata
from pipeline.data.sample_store import read_hashes
from pipeline.io.atomic import write_json
from pipeline.io.images import sha256_of
from pipeline.io.shards import SUFFIX, read_bytes, write_shard

KINDS = ("image", "mask", "object")  # columns of the manifest that are paths
SHARDS = "shards"


class Layout(Protocol):
    """A way to lay out a set."""

    def place(self, folder: Path, store: Path, frame: pd.DataFrame) -> pd.DataFrame:
        """Bring the files of finished pairs into the set's folder, and describe them.

        Args:
            folder: of the set.
            store: holds the files.
            frame: rows of the manifest, whose paths are those in the store.

        Returns:
            The same with the paths in the folder.
        """


class Files:
    """`images/`, `masks/` and `objects/`, and metadata.jsonl for image folders."""

    def place(self, folder: Path, store: Path, frame: pd.DataFrame) -> pd.DataFrame:
        """Link every file; the paths stay."""
        for kind in KINDS:
            for path in frame[kind].dropna():
                _link(store / path, folder / path)
        write_image_folder_metadata(folder, frame)
        return frame


@dataclass(frozen=True)
class Shards:
    """Tar archives that WebDataset and `datasets.load_dataset("webdataset", …)` read.

    Of each pair they hold `<id>.image.png`, `<id>.mask.png`, `<id>.object.png` where it has a
    silhouette, and `<id>.json`. Shard k holds the pairs kS … kS+S−1 of those that the set has, so
    a larger set has other bytes in the last shard at most. Packed shards are kept in the store:
    a full one is made once.
    """

    pairs_each: int  # S

    def place(self, folder: Path, store: Path, frame: pd.DataFrame) -> pd.DataFrame:
        """Link every shard, those first packed that are not in the store yet."""
        shards = frame["index"].map(self._shard)
        for shard, rows in frame.groupby(shards):
            _pack(store, shard, rows)
            _link(store / shard, folder / shard)
        _drop_others(store / SHARDS, {Path(shard).stem for shard in shards})
        paths = {
            kind: [
                None if pd.isna(path) else f"{shard}/{_member(name, kind)}"
                for shard, name, path in zip(shards, frame["id"], frame[kind], strict=True)
            ]
            for kind in KINDS
        }
        return frame.assign(**paths)

    def _shard(self, index: int) -> str:
        return f"{SHARDS}/synthetic-{index // self.pairs_each:06d}{SUFFIX}"


FILES = Files()
LAYOUTS: dict[str, Callable[[int], Layout]] = {"files": lambda pairs_each: FILES, "shards": Shards}


def _member(name: str, kind: str) -> str:
    return f"{name}.{kind}.png"


def _pack(store: Path, shard: str, frame: pd.DataFrame) -> None:
    """Write a shard into the store, unless it is there whole and of these very pairs."""
    rows = frame.to_dict("records")
    content = hashlib.sha256()
    for row in rows:
        known = [_description(row), read_hashes(store, row["index"])]
        content.update(json.dumps(known, sort_keys=True).encode())
    path, note = store / shard, (store / shard).with_suffix(".json")
    if _read_note(note) != {"content": content.hexdigest(), "sha256": _hash_of(path)}:
        write_shard(path, _members(store, rows))
        write_json(note, {"content": content.hexdigest(), "sha256": sha256_of(path)})


def _members(store: Path, rows: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of a shard's files, one pair's after the other's."""
    for row in rows:
        for kind in KINDS:
            if not pd.isna(row[kind]):
                yield _member(row["id"], kind), read_bytes(store / row[kind])
        yield f"{row['id']}.json", _description(row).encode()


def _description(row: dict[str, Any]) -> str:
    """What the manifest says of a pair, as JSON of one type a key in every pair.

    `datasets` infers the types from the first pairs of a shard, and empty lists and nulls have
    none: lists are joined to one text, and what is missing is an empty one.
    """
    facts = describe({name: row[name] for name in row if name not in KINDS})
    plain = {
        name: ", ".join(fact) if isinstance(fact, list) else "" if fact is None else fact
        for name, fact in facts.items()
    }
    return json.dumps(plain, ensure_ascii=False)


def _read_note(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _hash_of(path: Path) -> str | None:
    return sha256_of(path) if path.exists() else None


def _drop_others(folder: Path, stems: set[str]) -> None:
    """Remove packed shards of another size or of a larger set."""
    for path in folder.iterdir():
        if path.stem not in stems:
            path.unlink()


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
