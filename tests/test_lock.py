"""The lock covers requirements.txt, with a hash for each file, and `make` has targets for it."""

import re
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def _locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Package → version and hashes."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            pin = re.match(r"([a-z0-9-]+)==(\S+)", line)
            assert pin, line
            found[pin[1]] = pin[2], re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line)
    return found


def _wanted() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [
        Requirement(line) for line in (part.partition("#")[0].strip() for part in lines) if line
    ]


def test_every_requirement_is_locked_at_a_version_that_it_allows():
    locked = _locked("requirements.lock")
    for requirement in _wanted():
        name = re.sub(r"[._]", "-", requirement.name.lower())
        assert locked[name][0] in requirement.specifier, f"{name}: run make lock"


def test_every_locked_package_has_hashes():
    for file in ("requirements.lock", "requirements-uv.lock"):
        locked = _locked(file)
        assert locked and all(hashes for _, hashes in locked.values())
    assert list(_locked("requirements-uv.lock")) == ["uv"]


def test_make_installs_from_the_lock_and_can_audit_it():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "--require-hashes -r requirements.lock" in makefile
    assert re.search(r"^audit: .*##", makefile, re.MULTILINE)
    assert re.search(r"^lock: .*##", makefile, re.MULTILINE)
