"""The state of a segmenter's training as one safetensors file, so that it is whole or not there.

Weights, optimiser and best weights are tensors named `weights/…`, `optimiser/…` and `best/…`; the
learning curve and the counters are JSON in the header. See pipeline.training.sealed.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from pipeline.training.sealed import Tensors, read_sealed, write_sealed


@dataclass
class TrainingState:
    """How far a training is; `curve` has one entry a validation, NaN where it has no pairs."""

    step: int = 0
    seconds: float = 0.0
    best_step: int = -1
    best_value: float = -1.0
    curve: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # of the steps since the last validation


def save_state(path: Path, state: TrainingState, parts: dict[str, Tensors]) -> None:
    """Write `state` and named groups of tensors; what was there is kept beside it.

    Raises:
        DivergedError: a tensor is not finite; nothing is written.
        RefusedError: the system refuses to write.
    """
    tensors = {
        f"{part}/{name}": tensor for part, group in parts.items() for name, tensor in group.items()
    }
    write_sealed(path, tensors, asdict(state))


def load_state(path: Path) -> tuple[TrainingState, dict[str, Tensors]]:
    """What `save_state` wrote.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is not what was written.
    """
    tensors, content = read_sealed(path)
    parts: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        part, name = key.split("/", 1)
        parts.setdefault(part, {})[name] = tensor
    return TrainingState(**content), parts


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
