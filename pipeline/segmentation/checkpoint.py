"""The state of a segmenter's training as one safetensors file, so that it is whole or not there.

Weights, optimiser and best weights are tensors named `weights/…`, `optimiser/…` and `best/…`; the
learning curve and the counters are JSON in the header.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open

from pipeline.io.atomic import write_bytes

Tensors = dict[str, torch.Tensor]


@dataclass
class TrainingState:
    """How far a training is; `curve` has one entry a validation."""

    step: int = 0
    seconds: float = 0.0
    best_step: int = -1
    best_value: float = -1.0
    curve: list[dict[str, float]] = field(default_factory=list)


def save_state(path: Path, state: TrainingState, parts: dict[str, Tensors]) -> None:
    """Write `state` and named groups of tensors; replaces what was there."""
    tensors = {
        f"{part}/{name}": tensor.detach().cpu().contiguous()
        for part, group in parts.items()
        for name, tensor in group.items()
    }
    header = {"state": json.dumps(asdict(state))}
    write_bytes(path, safetensors.torch.save(tensors, metadata=header))


def load_state(path: Path) -> tuple[TrainingState, dict[str, Tensors]]:
    """What `save_state` wrote."""
    parts: dict[str, Tensors] = {}
    with safe_open(path, framework="pt") as file:
        state = TrainingState(**json.loads(file.metadata()["state"]))
        for key in file.keys():  # noqa: SIM118  (safe_open is no mapping)
            part, name = key.split("/", 1)
            parts.setdefault(part, {})[name] = file.get_tensor(key)
    return state, parts


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> Tensors:
    """An optimiser's moments and counters, by position of the parameter and name."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}/{name}": torch.as_tensor(value)
        for index, entries in state.items()
        for name, value in entries.items()
        if value is not None
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give back what `optimiser_tensors` took; learning rates and the like stay as they are."""
    content = optimiser.state_dict()
    parameters = [item for group in optimiser.param_groups for item in group["params"]]
    entries: dict[int, Tensors] = {}
    for key, tensor in tensors.items():
        index, name = key.split("/")
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # in the parameter's memory format, which a fused kernel takes for granted
            tensor = torch.empty_like(parameter).copy_(tensor)
        entries.setdefault(int(index), {})[name] = tensor
    optimiser.load_state_dict({"state": entries, "param_groups": content["param_groups"]})
