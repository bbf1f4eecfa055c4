"""Runs of the pipeline as DVC experiments, found again by their names.

An experiment's name holds a hash of what decides its results: the parameters and the content of
every file under Git that a stage may read, changed ones included. A finished one is never run
again, whatever was committed since that no stage reads. DVC's run cache shares the stages that
experiments have in common.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.io.errors import UserError

LOGS = Path(".checkpoints/studies")
HASH_LENGTH = 10
# What no stage reads; parameters are hashed by their values, dvc.lock and metrics are results.
UNREAD_FOLDERS = {"benchmarks", "docs", "metrics", "presets", "studies", "tests"}
UNREAD_FILES = {".gitignore", ".gitattributes", "LICENSE", "Makefile", "dvc.lock", "params.yaml"}
STAGE_LINE = "Running stage '"


@dataclass(frozen=True)
class Experiments:
    """The experiments of the repository at `root`."""

    root: Path

    def name(self, study: str, cell: str, params: dict[str, Any]) -> str:
        """`study-<study>-<cell>-<hash>`."""
        return f"study-{study}-{cell}-{self.digest(params)}"

    def digest(self, params: dict[str, Any]) -> str:
        """The hash of what decides a run's results, as it is now."""
        content = json.dumps([params, self._sources()], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:HASH_LENGTH]

    def finished(self) -> dict[str, str]:
        """Commits of all experiments by name, whatever commit they were started from."""
        lines = self._git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps")
        pairs = [line.split() for line in lines.splitlines()]
        return {PurePosixPath(reference).name: commit for reference, commit in pairs}

    def untracked(self) -> list[str]:
        """Files that an experiment will not have, as Git knows nothing of them."""
        names = self._git("ls-files", "-z", "--others", "--exclude-standard").split("\0")
        return [name for name in names if name and _may_be_read(name)]

    def run(self, name: str, arguments: Iterable[str], say: Callable[[str], None]) -> bool:
        """Run an experiment in a temporary folder; whether it succeeded.

        Args:
            name: of the experiment, and of its log below `LOGS`.
            arguments: for `--set-param`.
            say: is told which stage begins.
        """
        command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name]
        for argument in arguments:
            command += ["--set-param", argument]
        log = self.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        # the stages' `python` is the one that runs the study
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=os.environ | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        started = time.monotonic()
        with process, log.open("w", encoding="utf-8") as file:
            for line in process.stdout or []:
                file.write(line)
                file.flush()
                if line.startswith(STAGE_LINE):
                    elapsed_s = time.monotonic() - started
                    say(f"{elapsed_s:5.0f} s  {line.split(chr(39))[1]}")
        return process.returncode == 0 and name in self.finished()

    def log(self, name: str) -> Path:
        """The file with all that the experiment printed."""
        return self.root / LOGS / f"{name}.log"

    def files(self, name: str) -> Callable[[str], bytes]:
        """A reader of the files of a finished experiment, those in DVC's cache included.

        Raises:
            UserError: (the reader) the experiment has no such file, or its cache was cleared.
        """
        from dvc.api import DVCFileSystem  # takes a second to import

        system = DVCFileSystem(str(self.root), rev=self.finished()[name])

        def read(path: str) -> bytes:
            try:
                return system.read_bytes(path)
            except (OSError, ValueError) as error:
                raise UserError(
                    f"{path}: not found in the experiment {name} ({error}); forget it (dvc exp "
                    f"remove {name}) and run the study again"
                ) from None

        return read

    def _sources(self) -> dict[str, str]:
        """SHA-256 of each file under Git that a stage may read, as it is now."""
        names = self._git("ls-files", "-z", "--cached").split("\0")
        return {
            name: hashlib.sha256((self.root / name).read_bytes()).hexdigest()
            for name in sorted(set(names))
            if name and _may_be_read(name) and (self.root / name).is_file()
        }

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise UserError(f"git {arguments[0]}: {done.stderr.strip()}; run from the repository")
        return done.stdout


def _may_be_read(name: str) -> bool:
    path = PurePosixPath(name)
    return not (
        path.parts[0] in UNREAD_FOLDERS
        or path.parts[:2] == ("pipeline", "studies")
        or name in UNREAD_FILES
        or path.suffix == ".md"
        or path.name == "dvc.lock"
    )
