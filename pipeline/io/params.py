"""Reading and validating params.yaml.

Each part of the pipeline owns a `Settings` class for its section; this module reads the file as
YAML 1.2 (PyYAML would turn `1e-05` into a string and `no` into False) and turns pydantic's
complaints into one line a parameter: `sampling.steps: got 0, expected greater than or equal to 1`.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.io.errors import UserError

PARAMS_FILE = Path("params.yaml")


class Settings(BaseModel):
    """Base of all settings: immutable, refuses unknown keys and wrong types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )


S = TypeVar("S", bound=Settings)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping as plain dicts and lists.

    Raises:
        UserError: the file is missing, is no YAML or holds something other than a mapping.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: not found, expected a YAML file; run from the repository"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML 1.2: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: got {type(content).__name__}, expected a mapping of parameters")
    return content


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """All parameters of the working folder's params.yaml."""
    return read_yaml(path)


def value(key: str, params: dict[str, Any]) -> Any:
    """The parameter at a dotted path such as `image_dm.sdm`.

    Raises:
        UserError: no such parameter; the message lists the names there are.
    """
    node: Any = params
    for depth, name in enumerate(key.split(".")):
        if not isinstance(node, dict) or name not in node:
            above = ".".join(key.split(".")[:depth]) or "params.yaml"
            names = ", ".join(map(str, node)) if isinstance(node, dict) else repr(node)
            raise UserError(f"{key}: missing; {above} has: {names}")
        node = node[name]
    return node


def section(model: type[S], key: str, params: dict[str, Any]) -> S:
    """Validate the parameters at `key` against their settings class.

    Raises:
        UserError: every wrong parameter of the section, one line each.
    """
    content = value(key, params)
    return parse(model, key, content)


def parse(model: type[S], name: str, content: Any) -> S:
    """Validate `content` as `model`; `name` is the dotted path put before each complaint.

    An empty name stands for the whole file.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError("\n       ".join(_complaints(name, error))) from None


def _complaints(name: str, error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors():
        where = ".".join(filter(None, [name, *(str(part) for part in fault["loc"])]))
        if fault["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown parameter; remove it or check its spelling")
        elif fault["type"] == "missing":
            lines.append(f"{where}: missing; it has no default")
        else:
            expected = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
            lines.append(f"{where}: got {fault['input']!r}, expected {expected}")
    return lines
