"""A copy of the repository in which all stages do something, small enough to be broken often."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline.io.params import read_yaml

ROOT = Path(__file__).resolve().parents[2]
# Over the smoke preset: the latent models, since they need the most stages, with all options.
CHANGES: dict[str, Any] = {
    "image_dm.kind": "ldm",
    "image_dm.reduction": 2,
    "image_dm.finetune.enabled": True,
    "masks.source": "diffusion",
    "sampling.superres.enabled": True,
    "filter.folds": 2,
    "external.enabled": True,
    "external.dataset.path": "data/demo",
    "segmenters.architectures": ["fpn"],
    "segmenters.training.seeds": 2,
}
CHECKPOINT_EVERY_S = 0.5  # of every training, as these last seconds
LEFT = (".*.writing-*", ".*.old-*", ".*.tmp")


@dataclass(frozen=True)
class Step:
    """One stage of the pipeline, or one item of a stage's matrix."""

    name: str
    command: list[str]
    outs: list[str]

    @property
    def stage(self) -> str:
        """Without the item of the matrix."""
        return self.name.split("@")[0]


@dataclass(frozen=True)
class Workplace:
    """A folder with the program; `store` is where its stages keep what they can resume from."""

    folder: Path
    store: Path

    def environment(self) -> dict[str, str]:
        """Of the stages: one thread, this interpreter, the store."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {"PATH": path, "OMP_NUM_THREADS": "1", "DVC_ROOT": str(self.store)}
        dropped = ("RANK", "LOCAL_RANK", "PYTHONPATH")
        return {k: v for k, v in os.environ.items() if k not in dropped} | own

    def remove_outs(self, step: Step) -> None:
        """As DVC does before it runs a stage."""
        for out in step.outs:
            path = self.folder / out
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def leftovers(self) -> list[str]:
        """Temporary files and folders outside the store."""
        folders = [self.folder / "data", self.folder / "metrics"]
        found = [path for folder in folders for pattern in LEFT for path in folder.rglob(pattern)]
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def hashes(self, steps: list[Step]) -> dict[str, str]:
        """SHA-256 of each file of the outs, by its path."""
        files = {}
        for step in steps:
            for out in step.outs:
                path = self.folder / out
                for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                    if file.is_file():
                        digest = hashlib.sha256(file.read_bytes()).hexdigest()
                        files[str(file.relative_to(self.folder))] = digest
        return files


def make_workplace(folder: Path) -> Workplace:
    """Copy the program into `folder` and write the parameters."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("metrics/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    place = Workplace(folder, folder)
    command = [sys.executable, "-m", "pipeline.io.presets", "smoke"]
    subprocess.run(command, cwd=folder, env=place.environment(), check=True, capture_output=True)
    _write_params(folder / "params.yaml")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return place


def read_steps(folder: Path) -> list[Step]:
    """What `dvc repro` would run there, in its order, matrices expanded."""
    repo = Repo(str(folder))
    ordered = reversed(list(networkx.topological_sort(repo.index.graph)))
    return [
        Step(
            stage.addressing.split(":")[-1],
            stage.cmd.split(),
            [str(Path(out.fs_path).relative_to(folder)) for out in stage.outs],
        )
        for stage in ordered
        if "download" not in stage.cmd
    ]


def _write_params(path: Path) -> None:
    yaml = YAML()
    params = read_yaml(path)
    for key, value in CHANGES.items():
        *above, name = key.split(".")
        node = params
        for part in above:
            node = node[part]
        node[name] = value
    _checkpoint_often(params)
    yaml.dump(params, path)


def _checkpoint_often(node: Any) -> None:
    for name, value in node.items():
        if name == "checkpoint_every_s":
            node[name] = CHECKPOINT_EVERY_S
        elif isinstance(value, dict):
            _checkpoint_often(value)
