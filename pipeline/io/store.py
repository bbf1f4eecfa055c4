"""A store outside DVC for what a killed stage can resume from.

`$DVC_ROOT/.checkpoints/<stage>/<hash>`: the hash covers the stage, its parameters and inputs, and
the source text of every module of ours that is loaded, so that a changed program never resumes
from the old one's state. `DVC_ROOT` is the main repository even in `--temp` and queue runs;
without DVC it is the working folder. A file lock keeps a second process out, since killing dvc
leaves the stage's process running.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.io.atomic import write_bytes
from pipeline.io.errors import UserError

FOLDERS_KEPT_PER_STAGE = 4
FINISHED = "finished"


@dataclass(frozen=True)
class Store:
    """A folder that survives a kill and belongs to one set of parameters and inputs."""

    path: Path

    def finish(self) -> None:
        """Let go of the content, once it has become the stage's output.

        It goes when another store is opened. Until then DVC may be killed before it has taken the
        output in, and will run the stage again: from here, and not from the beginning.
        """
        write_bytes(self.path / FINISHED, b"")


@contextlib.contextmanager
def open_store(stage: str, key: dict[str, Any]) -> Iterator[Store]:
    """The store for `stage` run with `key` (parameters and hashes of inputs, JSON-able).

    Raises:
        UserError: another process has it open; the message names that process.
    """
    root = Path(os.environ.get("DVC_ROOT", ".")) / ".checkpoints" / stage
    folder = root / _digest(stage, key)
    folder.mkdir(parents=True, exist_ok=True)
    if int(os.environ.get("RANK", "0")) > 0:  # the first of several processes holds the lock
        yield Store(folder)
        return
    with _locked(stage, folder.with_suffix(".lock"), folder.with_suffix(".pid")):
        os.utime(folder)
        (folder / FINISHED).unlink(missing_ok=True)
        _prune(root, keep=folder)
        yield Store(folder)


@contextlib.contextmanager
def _locked(stage: str, lock_path: Path, owner_path: Path) -> Iterator[None]:
    lock = FileLock(lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        owner = owner_path.read_text() if owner_path.exists() else "unknown"
        raise UserError(
            f"{stage}: already running as process {owner}; wait for it or end it "
            f"(kill {owner}), then run again"
        ) from None
    try:
        owner_path.write_text(str(os.getpid()))
        yield
    finally:
        lock.release()


def _digest(stage: str, key: dict[str, Any]) -> str:
    content = json.dumps([stage, key, _loaded_sources()], sort_keys=True, allow_nan=False)
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _loaded_sources() -> dict[str, str]:
    """SHA-256 of the source of each loaded module of the project, by module name."""
    sources = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and name.split(".")[0] in ("pipeline", "stages"):
            sources[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return sources


def _prune(root: Path, keep: Path) -> None:
    """Drop finished stores of all stages and a stage's least recently used, except locked ones."""
    folders = [path for path in root.iterdir() if path.is_dir() and path != keep]
    folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    finished = [path.parent for path in root.parent.glob(f"*/*/{FINISHED}")]
    for folder in {*folders[FOLDERS_KEPT_PER_STAGE - 1 :], *finished}:
        lock = FileLock(folder.with_suffix(".lock"))
        with contextlib.suppress(Timeout), lock.acquire(timeout=0):
            shutil.rmtree(folder)
            folder.with_suffix(".pid").unlink(missing_ok=True)
