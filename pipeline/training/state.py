"""The state of a training as one safetensors file: nothing is pickled.

Tensors: `weights/<name>`, `average/<name>` (EMA), `best/<monitor>/<name>` (EMA weights of the step
that was the best by it), `optimiser/<name>/<exp_avg|exp_avg_sq|step>`, `adversary/<weights|
optimiser>/…` of a discriminator. Metadata: the record of the training, the EMA's number of updates
and the gradient scaler's state, as JSON.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.io.errors import UserError
from pipeline.training.record import Record

STATE_FILE = "state.safetensors"
Tensors = dict[str, Tensor]


@dataclass
class TrainingState:
    """Everything that the next step depends on."""

    weights: Tensors
    average: Tensors
    best: Tensors  # `<monitor>/<name>`; none until the monitor has chosen
    optimiser: Tensors  # `<parameter>/<name of its state>`; empty before the first step
    average_updates: int
    scaler: dict[str, Any] | None  # fp16 only
    record: Record
    adversary: Tensors = field(default_factory=dict)  # empty without a discriminator

    def best_by(self, monitor: str) -> Tensors:
        """The averaged weights that were the best by `monitor`."""
        prefix = f"{monitor}/"
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.best.items()
            if name.startswith(prefix)
        }

    def write(self, path: Path) -> None:
        """Replace `path` by this state, atomically."""
        groups = {
            "weights": self.weights,
            "average": self.average,
            "best": self.best,
            "optimiser": self.optimiser,
            "adversary": self.adversary,
        }
        tensors = {
            f"{group}/{name}": tensor.detach().contiguous()
            for group, members in groups.items()
            for name, tensor in members.items()
        }
        content = {
            "average_updates": self.average_updates,
            "scaler": self.scaler,
            "record": self.record.to_json(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.writing")
        save_file(tensors, temporary, metadata={"state": json.dumps(content)})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def as_start(self) -> "TrainingState":
        """The same model, average and optimiser with an empty record: where finetuning begins."""
        return TrainingState(
            weights=self.weights,
            average=self.average,
            best={},
            optimiser=self.optimiser,
            average_updates=self.average_updates,
            scaler=self.scaler,
            record=Record(list(self.record.parts), list(self.record.measures)),
        )


def read_state(path: Path) -> TrainingState:
    """Read a state file, tensors on the CPU.

    Raises:
        UserError: the file is missing or is no state of a training.
    """
    names = ("weights", "average", "best", "optimiser", "adversary")
    groups: dict[str, Tensors] = {name: {} for name in names}
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads(file.metadata()["state"])
            for key in file.keys():  # noqa: SIM118 (a safetensors file is no mapping)
                group, name = key.split("/", 1)
                groups[group][name] = file.get_tensor(key)
            record = Record.from_json(content["record"])
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the stage that trains this model first") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not the state of a training: {error!r}") from None
    return TrainingState(
        **groups,
        average_updates=content["average_updates"],
        scaler=content["scaler"],
        record=record,
    )


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: list[str]) -> Tensors:
    """An Adam optimiser's state by parameter name; `names` in the order of its parameters."""
    state = optimiser.state_dict()["state"]
    return {
        f"{names[index]}/{key}": tensor
        for index, members in state.items()
        for key, tensor in members.items()
    }


def load_optimiser(optimiser: torch.optim.Optimizer, names: list[str], tensors: Tensors) -> None:
    """Put back what `optimiser_tensors` gave, in each parameter's own memory layout."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, member = key.rsplit("/", 1)
        index = names.index(name)
        if member != "step":
            tensor = torch.empty_like(parameters[index], device="cpu").copy_(tensor)
        state.setdefault(index, {})[member] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
