"""Copies of the checkout with a Git and DVC of their own, and what is looked at in them."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SEGMENTERS = {
    "architectures": ["fpn"],
    "baseline": "real_8",
    "mixes": {
        "real_8": {"real": 8, "synthetic": 0},
        "real_8-synthetic_all": {"real": 8, "synthetic": "all"},
    },
}
DEMO = {"fruits": 20, "views": 4}  # all recipes of defects, in a third of the demo's photos


def sh(folder: Path, *command: str) -> str:
    """What a command prints.

    Raises:
        AssertionError: it failed; with the end of what it printed.
    """
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    for name in ("DVC_ROOT", "RANK", "LOCAL_RANK", "PYTHONPATH"):
        environment.pop(name, None)
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, capture_output=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{output[-6000:]}"
    return output


def copy_checkout(folder: Path) -> None:
    """All that Git knows or would know, with the smoke preset on fewer photos, committed."""
    listing = sh(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listing.split("\0")):
        # what was computed with other parameters is of no use, and DVC rewrites it for every stage
        if name != "dvc.lock" and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    sh(folder, sys.executable, "-m", "pipeline.io.presets", "smoke")
    # what differs between architectures is tested without the pipeline
    _change(folder / "params.yaml", "segmenters", SEGMENTERS)
    _change(folder / "data/demo/params.yaml", "demo", DEMO)
    sh(folder, "git", "init", "-q")
    sh(folder, "git", "config", "user.email", "someone@example.org")
    sh(folder, "git", "config", "user.name", "someone")
    commit(folder)


def commit(folder: Path) -> None:
    """Everything in it."""
    sh(folder, "git", "add", "-A")
    sh(folder, "git", "commit", "-qm", "as it is")


def go_back(folder: Path) -> None:
    """To what was committed last, data included; data/lemons was never fetched."""
    sh(folder, "git", "checkout", "-q", ".")
    sh(folder, "dvc", "checkout", "-q", "--allow-missing")


def settings(**changes: object) -> list[str]:
    """Parameters as options of `dvc exp run`."""
    return [word for name, value in changes.items() for word in ("-S", f"{name}={value}")]


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each synthetic photo by its name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "data" / "synthetic" / "images").glob("*.png"))
    }


def ran(output: str) -> set[str]:
    """Names of the stages that DVC ran, not those that it skipped or took from its cache."""
    return {
        line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")
    }


def _change(path: Path, section: str, changes: dict[str, object]) -> None:
    yaml = YAML()
    params = yaml.load(path)
    params[section].update(changes)
    yaml.dump(params, path)
