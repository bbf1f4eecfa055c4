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
