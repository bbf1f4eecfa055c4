"""Which precision `auto` stands for, and that what follows never reads `auto`."""

import pytest
import torch

from pipeline.diffusion.sampling import SamplerSettings
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.errors import UserError
from pipeline.io.params import parse
from pipeline.training import precision


def machine(monkeypatch, *, name="x86_64", avx512=False, amx=False, arm=False, gpu=None):
    monkeypatch.setattr(precision.platform, "machine", lambda: name)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: arm, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: gpu)


@pytest.mark.parametrize(
    ("of_machine", "expected"),
    [
        ({}, "fp32"),
        ({"avx512": True}, "bf16"),
        ({"amx": True}, "bf16"),
        ({"name": "aarch64"}, "fp32"),
        ({"name": "arm64", "arm": True}, "bf16"),
        # a processor's instructions are of no use to a GPU without
        ({"avx512": True, "gpu": (7, 5)}, "fp32"),
        ({"gpu": (9, 0)}, "bf16"),
    ],
)
def test_auto_is_what_the_machine_has_instructions_for(monkeypatch, of_machine, expected):
    machine(monkeypatch, **of_machine)
    for settings in (
        TrainingSettings(max_steps=1, precision="auto"),
        SamplerSettings(precision="auto"),
    ):
        assert settings.precision == expected
        assert settings.model_dump()["precision"] == expected  # what is saved and hashed


def test_what_is_asked_for_is_taken_on_any_machine(monkeypatch):
    machine(monkeypatch)
    assert SamplerSettings(precision="bf16").precision == "bf16"
    machine(monkeypatch, avx512=True)
    assert TrainingSettings(max_steps=1, precision="fp32").precision == "fp32"


def test_an_unknown_precision_is_refused_with_those_that_there_are():
    with pytest.raises(UserError, match=r"sampling\.precision: got 'fp64', .*'auto', 'fp32'"):
        parse(SamplerSettings, "sampling", {"precision": "fp64"})
