"""Changes of parameters against DVC's own reading of `--set-param`."""

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from pipeline.io.errors import UserError
from pipeline.io.params import read_yaml
from pipeline.studies.overrides import replace_values, set_param_arguments

BEFORE = {
    "number": 1,
    "small": 1e-5,
    "list": [1, 2],
    "map": {"x": {"p": 1}, "y": 2},
    "text": "t",
    "gone": {"k": 1},
    "nothing": None,
    "switch": True,
}


def as_dvc_does(tmp_path, before, arguments):
    path = tmp_path / "params.yaml"
    with path.open("w") as file:
        YAML().dump(before, file)
    apply_overrides(path, arguments)
    return read_yaml(path)


@pytest.mark.parametrize(
    "text",
    ["plain", r"^(\d+)_", "it's", r"\'", "\\", r"a\\'b\\", "a, b: {c}", "null", "1", "", "é"],
)
def test_dvc_understands_every_change(tmp_path, text):
    after = {
        "number": 2.5,
        "small": 1e-7,
        "list": ["u", 1, text, None, False],
        "map": {"x": {"p": 1, "real_all-synthetic_equal": {"real": text}}},
        "text": text,
        "gone": 3,
        "nothing": 5,
        "switch": None,
        "new": {"list": [1, {"j": text}], "empty": {}},
    }
    assert as_dvc_does(tmp_path, BEFORE, set_param_arguments(BEFORE, after)) == after


def test_a_map_can_become_a_value_and_back(tmp_path):
    first, second = {"a": {"b": {"c": 1}}}, {"a": {"b": "all"}}
    assert as_dvc_does(tmp_path, first, set_param_arguments(first, second)) == second
    assert as_dvc_does(tmp_path, second, set_param_arguments(second, first)) == first


def test_only_what_differs_is_passed():
    assert set_param_arguments(BEFORE, BEFORE) == []
    changed = replace_values(BEFORE, {"map.x.p": 7})
    assert set_param_arguments(BEFORE, changed) == ["map.x.p=7"]
    assert set_param_arguments({"a": 1}, {"a": 1.0}) == ["a=1.0"]
    assert set_param_arguments({"a": 1}, {"a": True}) == ["a=true"]


def test_values_are_replaced_whole_and_the_original_stays():
    changed = replace_values(BEFORE, {"map": {"z": [1]}, "number": 4})
    assert changed["map"] == {"z": [1]}
    assert changed["number"] == 4
    assert BEFORE["map"] == {"x": {"p": 1}, "y": 2}


@pytest.mark.parametrize("path", ["nmuber", "map.x.q", "number.x"])
def test_a_parameter_that_does_not_exist(path):
    with pytest.raises(UserError, match=rf"{path}: missing; .* has: "):
        replace_values(BEFORE, {path: 1})
