"""`python -m pipeline.io.presets NAME`: write a preset into params.yaml.

presets/demo.yaml is complete and commented; every other preset holds only what differs from it,
or from the preset it `extends`. Applying one always starts from the demo, so nothing of an
earlier preset stays behind.
"""

import argparse
import io
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.io.atomic import write_text
from pipeline.io.errors import UserError, run
from pipeline.io.params import PARAMS_FILE, read_yaml

PRESETS_FOLDER = Path("presets")
BASE = "demo"
REPLACED_WHOLE = {"segmenters.mixes", "segmenters.architectures"}


def _yaml() -> YAML:
    yaml = YAML()  # round trip: keeps comments and order
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 100
    return yaml


def merge(base: MutableMapping[str, Any], changes: Mapping[str, Any], path: str = "") -> None:
    """Write `changes` into `base`, key by key.

    Maps are merged, all else is replaced; the mixes are replaced whole, since a preset that names
    two mixes wants these two and not the demo's beside them.

    Raises:
        UserError: a parameter that the demo does not have (a spelling mistake, most likely).
    """
    for key, new in changes.items():
        name = f"{path}{key}"
        free_names = name.startswith("subsets.") and name.count(".") == 1
        if key not in base and not free_names:
            raise UserError(f"{name}: not a parameter of presets/{BASE}.yaml; check its spelling")
        old = base.get(key)
        whole = name in REPLACED_WHOLE or free_names
        if isinstance(new, Mapping) and isinstance(old, MutableMapping) and not whole:
            merge(old, new, f"{name}.")
        else:
            base[key] = new


def compose(name: str, folder: Path = PRESETS_FOLDER) -> MutableMapping[str, Any]:
    """The demo's parameters with those of preset `name` (and of what it extends) written over."""
    chain: list[Mapping[str, Any]] = []
    current: str | None = name
    while current is not None and current != BASE:
        path = folder / f"{current}.yaml"
        if not path.exists():
            known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
            raise UserError(f"NAME: got {current!r}, expected one of {known}")
        read_yaml(path)  # names the file if it is broken
        content = _yaml().load(path.read_text(encoding="utf-8"))
        chain.append({key: new for key, new in content.items() if key != "extends"})
        current = content.get("extends")
    base = _yaml().load((folder / f"{BASE}.yaml").read_text(encoding="utf-8"))
    for changes in reversed(chain):
        merge(base, changes)
    return base


def write_params(params: MutableMapping[str, Any], path: Path = PARAMS_FILE) -> None:
    """Write parameters with their comments."""
    buffer = io.StringIO()
    _yaml().dump(params, buffer)
    write_text(path, buffer.getvalue())


def main() -> None:
    """Command line: NAME and the folder of the data set."""
    parser = argparse.ArgumentParser(description="write a preset into params.yaml")
    parser.add_argument("name")
    parser.add_argument("--data", help="folder of the data set (dataset.path)")
    arguments = parser.parse_args()
    params = compose(arguments.name)
    if arguments.data is not None:
        folder = Path(arguments.data).expanduser()
        if not folder.is_dir():
            raise UserError(f"DATA: got {arguments.data}, expected a folder")
        inside = folder.resolve().is_relative_to(Path.cwd())
        set_data(params, str(folder if inside else folder.resolve()))
    write_params(params)
    print(f"params.yaml: preset {arguments.name}, data set {params['dataset']['path']}")
    if str(params["dataset"]["path"]).startswith("<"):
        print("dataset.path is yours to set: make preset NAME=… DATA=<folder>, or edit params.yaml")
    if params["external"]["enabled"] and _external(params)["path"].startswith("<"):
        print("external.dataset.path is yours to set: edit params.yaml")


def set_data(params: MutableMapping[str, Any], folder: str) -> None:
    """Set dataset.path, and the external one where the preset takes both from one folder."""
    if _external(params)["path"] == params["dataset"]["path"]:
        _external(params)["path"] = folder
    params["dataset"]["path"] = folder


def _external(params: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return params["external"]["dataset"]


if __name__ == "__main__":
    run(main)
