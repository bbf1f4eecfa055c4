"""Changes of parameters: dotted paths into params.yaml, and DVC's `--set-param` for them.

`dvc exp run -S` takes Hydra's grammar: `a.b=1` changes, `+a.b=1` adds and `~a.b` removes.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

from pipeline.io.params import value


def replace_values(params: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `params` with what `changes` has at dotted paths.

    A value is replaced whole: a map of mixes takes the place of the one that was there.

    Raises:
        UserError: a path that `params` does not have.
    """
    changed = copy.deepcopy(params)
    for path, new in changes.items():
        value(path, changed)  # a parameter that does not exist is a spelling mistake
        above, _, name = path.rpartition(".")
        (value(above, changed) if above else changed)[name] = copy.deepcopy(new)
    return changed


def set_param_arguments(before: Any, after: Any, path: str = "") -> list[str]:
    """What `-S` needs to be told, in this order, to turn the map `before` into `after`."""
    arguments = [f"~{path}{name}" for name in before if name not in after]
    for name, new in after.items():
        key = f"{path}{name}"
        old = before.get(name)
        if name not in before:
            arguments.append(f"+{key}={_literal(new)}")
        elif isinstance(old, Mapping) and isinstance(new, Mapping) and new:
            arguments += set_param_arguments(old, new, f"{key}.")
        elif isinstance(old, Mapping) or isinstance(new, Mapping):
            arguments += [f"~{key}", f"+{key}={_literal(new)}"]
        elif json.dumps(old) != json.dumps(new):  # 1 and 1.0 and true are equal to Python
            arguments.append(f"{key}={_literal(new)}")
    return arguments


def _literal(item: Any) -> str:
    """A value in Hydra's grammar."""
    if isinstance(item, Mapping):
        return "{" + ",".join(f"{name}:{_literal(entry)}" for name, entry in item.items()) + "}"
    if isinstance(item, list):
        return "[" + ",".join(map(_literal, item)) + "]"
    if isinstance(item, str):
        return _quoted(item)
    return json.dumps(item)  # null, true, 1e-05


def _quoted(text: str) -> str:
    """In single quotes; a backslash is itself unless a quote follows."""
    body, escapes = "", 0
    for sign in text:
        if sign == "'":
            body += "\\" * (escapes + 1)
        escapes = escapes + 1 if sign == "\\" else 0
        body += sign
    return f"'{body}{chr(92) * escapes}'"
