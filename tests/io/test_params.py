from typing import Literal

import pytest
from pydantic import Field

from pipeline.io.errors import UserError
from pipeline.io.params import Settings, read_params, section, value


class Sampling(Settings):
    steps: int = Field(ge=1)
    guidance: float
    sampler: Literal["ddpm", "ddim"] = "ddpm"


def complaint(content):
    with pytest.raises(UserError) as caught:
        section(Sampling, "sampling", {"sampling": content})
    return str(caught.value)


def test_a_valid_section_becomes_settings():
    settings = section(Sampling, "sampling", {"sampling": {"steps": 3, "guidance": 1}})
    assert settings == Sampling(steps=3, guidance=1.0, sampler="ddpm")


def test_a_wrong_value_is_named_with_its_parameter():
    text = complaint({"steps": 0, "guidance": 0.5})
    assert text == "sampling.steps: got 0, expected greater than or equal to 1"


def test_wrong_types_are_refused_not_converted():
    assert "sampling.steps: got '3'" in complaint({"steps": "3", "guidance": 0.5})
    assert "sampling.steps: got True" in complaint({"steps": True, "guidance": 0.5})


def test_all_faults_are_listed_at_once():
    text = complaint({"stepz": 3, "guidance": "x", "sampler": "euler"})
    assert "sampling.steps: missing" in text
    assert "sampling.stepz: unknown parameter" in text
    assert "sampling.guidance: got 'x'" in text
    assert "'ddpm' or 'ddim'" in text


def test_a_missing_section_lists_the_names_there_are():
    with pytest.raises(UserError, match=r"image_dm\.ldm: missing; image_dm has: kind, sdm"):
        value("image_dm.ldm", {"image_dm": {"kind": "ldm", "sdm": {}}})


def test_yaml_1_2_scalars(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("rate: 1e-05\nno: no\nnothing: null\n")
    assert read_params(path) == {"rate": 1e-5, "no": "no", "nothing": None}


@pytest.mark.parametrize("text", ["- a\n", "a: [1\n", ""])
def test_a_file_that_is_no_mapping_is_named(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml"):
        read_params(path)


def unfolding(levels):
    """Aliases of aliases: 9 entries a level in the file, 9 to the power of levels in memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]")
    return "\n".join(lines)


HOSTILE = {
    "an alias bomb": (unfolding(9), "aliases that unfold to more than 100000 entries"),
    "itself": ("a: &a [*a]", "nested too deep, or within themselves"),
    "deep lists": ("a:\n" + "- " * 1000 + "b", "nested too deep"),
    "a month 13": ("a: 2020-13-45", "month must be in"),
    "too many digits": ("a: " + "9" * 5000, "Exceeds the limit"),
    "no whole number": ("a: !!int x", "invalid literal for int"),
    "no boolean": ("a: !!bool x", "'x'"),
    "the same twice": ("a: 1\nb: 2\na: 3", 'line 3, column 1: .*found duplicate key "a"'),
    "two documents": ("a: 1\n---\na: 2", "line 2, column 1: .*found another document"),
    "a program": ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_ends_in_one_line(tmp_path, what):
    text, told = HOSTILE[what]
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"params\.yaml: .*{told}") as caught:
        read_params(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_aliases_in_measure_are_read(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: &a {steps: 3}\nb: *a\n" + unfolding(3).replace("a0:", "c0:"))
    content = read_params(path)
    assert content["b"] == {"steps": 3} and len(content["a2"]) == 9


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"not found, expected a YAML file"):
        read_params(tmp_path)


def test_a_number_beyond_those_that_libraries_hold_is_refused():
    """Up to there JSON and floating point are exact."""
    told = "sampling.steps: got a whole number of 54 bits, expected one within ±2^53"
    assert complaint({"steps": 2**53 + 1, "guidance": 0.5}) == told
    settings = section(Sampling, "sampling", {"sampling": {"steps": 2**53, "guidance": 1}})
    assert settings.steps == 2**53
    assert "sampling.steps.1.x: got a whole" in complaint({"steps": [0, {"x": -(10**9000)}]})


def test_a_long_value_is_shown_in_part():
    told = complaint({"steps": "x" * 10**6, "guidance": 0.5})
    assert told.startswith("sampling.steps: got 'xxx") and len(told) < 500
