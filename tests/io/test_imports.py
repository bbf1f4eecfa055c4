import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def in_new_process(code: str, folder: Path | None = None) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f".:{folder}"},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_diffusion_stage_starts_without_the_compiler_and_can_use_it_afterwards() -> None:
    output = in_new_process("""
        import sys
        import stages.sample
        print("torch._dynamo" in sys.modules, "scipy.stats" in sys.modules)

        import numpy as np
        import torch, torchvision
        from diffusers import LMSDiscreteScheduler
        from diffusers.models import transformers
        from diffusers.models.attention import BasicTransformerBlock

        block = BasicTransformerBlock(8, 1, 8).eval()
        compiled = torch.compile(block, backend="eager")
        tokens = torch.ones(1, 2, 8)
        print(torch.equal(block(tokens), compiled(tokens)))
        boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]])
        print(torchvision.ops.nms(boxes, torch.tensor([0.1, 0.2]), 0.5).tolist())
        scheduler = LMSDiscreteScheduler()
        scheduler.set_timesteps(4)
        print(np.isfinite(scheduler.get_lms_coefficient(2, 3, 1)))
        print(transformers.DiTTransformer2DModel.__name__)
    """)
    assert output.split() == ["False", "False", "True", "[1]", "True", "DiTTransformer2DModel"]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library like torchvision that takes names of a slow module of its own."""
    package = tmp_path / "torchvision"
    (package / "ops").mkdir(parents=True)
    (package / "slow.py").write_text("print('slow')\nquick = taken = later = print")
    (package / "__init__.py").write_text("from .slow import quick\nfrom . import slow, ops")
    (package / "ops" / "__init__.py").write_text("print('all ops')\nfrom .one import name")
    (package / "ops" / "one.py").write_text("name = 'one'")
    return tmp_path


START = """from pipeline.io import imports
imports.STAND_INS["torchvision.slow"] = {"quick": print}
imports.shorten()
"""


def test_a_stand_in_passes_on_to_the_real_module_afterwards(library: Path) -> None:
    code = START + "import torchvision\nprint('imported')\ntorchvision.slow.later('ran')"
    assert in_new_process(code, library).split() == ["imported", "slow", "ran"]


def test_a_name_that_the_stand_in_lacks_loads_the_real_module(library: Path) -> None:
    (library / "torchvision" / "__init__.py").write_text("from .slow import taken")
    code = START + "from torchvision import taken\ntaken('ran')"
    assert in_new_process(code, library).split() == ["slow", "ran"]


def test_a_postponed_package_gives_modules_at_once_and_names_when_asked(library: Path) -> None:
    code = """
        from torchvision.ops.one import name
        print(name)
        import torchvision
        print(torchvision.ops.name)
        print(hasattr(torchvision.ops, "missing"))
    """
    output = in_new_process(START + textwrap.dedent(code), library)
    assert output.splitlines() == ["one", "all ops", "one", "False"]
