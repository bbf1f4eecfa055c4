"""Reading and validating params.yaml.

Each part of the pipeline owns a `Settings` class for its section; this module reads the file as
YAML 1.2 (PyYAML would turn `1e-05` into a string and `no` into False) and turns pydantic's
complaints into one line a parameter: `sampling.steps: got 0, expected greater than or equal to 1`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.io.errors import UserError
from pipeline.io.one_line import one_line

PARAMS_FILE = Path("params.yaml")
LARGEST_WHOLE = 2**53  # what JSON and floating point hold exactly; beyond, libraries overflow
_MOST_ENTRIES = 100_000  # of a file; the demo has 1,000


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
        if _total_entries(content, {}) > _MOST_ENTRIES:
            raise ValueError(f"aliases that unfold to more than {_MOST_ENTRIES} entries")
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(
            f"{path}: not found, expected a YAML file; run from the repository"
        ) from None
    except RecursionError:
        raise UserError(f"{path}: brackets nested too deep, or within themselves") from None
    except (YAMLError, ValueError, KeyError) as error:  # KeyError: of `!!bool x`
        raise UserError(f"{path}: not readable as YAML 1.2: {_told(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: got {type(content).__name__}, expected a mapping of parameters")
    return content


def _told(error: Exception) -> str:
    """What is wrong and where, without the parser's drawing of it."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return one_line(str(error))
    mark = error.problem_mark
    told = ", ".join(filter(None, [error.context, error.problem]))
    return one_line(f"line {mark.line + 1}, column {mark.column + 1}: {told}")


def _total_entries(content: Any, known: dict[int, int]) -> int:
    """How many there are once each alias is replaced by what it stands for.

    Args:
        content: of a file.
        known: results by object, of which a few lines of aliases hold a billion times the same.

    Raises:
        RecursionError: it holds itself.
    """
    if not isinstance(content, dict | list):
        return 1
    if id(content) not in known:
        inner = content.values() if isinstance(content, dict) else content
        known[id(content)] = 1 + sum(_total_entries(item, known) for item in inner)
    return known[id(content)]


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
    lines = [
        f"{where}: got a whole number of {number.bit_length()} bits, expected one within ±2^53"
        for where, number in _too_large(name, content)
    ]
    try:
        if not lines:
            return model.model_validate(content)
    except ValidationError as error:
        lines = _complaints(name, error)
    raise UserError("\n       ".join(lines)) from None


def _too_large(name: str, content: Any) -> Iterator[tuple[str, int]]:
    """The whole numbers beyond `LARGEST_WHOLE`, by dotted path."""
    if isinstance(content, int) and abs(content) > LARGEST_WHOLE:
        yield name, content
    elif isinstance(content, dict):
        for key, inner in content.items():
            yield from _too_large(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(content, list):
        for index, inner in enumerate(content):
            yield from _too_large(f"{name}.{index}", inner)


def _complaints(name: str, error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors():
        where = one_line(".".join(filter(None, [name, *(str(part) for part in fault["loc"])])))
        if fault["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown parameter; remove it or check its spelling")
        elif fault["type"] == "missing":
            lines.append(f"{where}: missing; it has no default")
        else:
            expected = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
            lines.append(f"{where}: got {one_line(repr(fault['input']))}, expected {expected}")
    return lines
