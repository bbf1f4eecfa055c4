"""The state of a training as one safetensors file: nothing is pickled.

Tensors: `weights/<name>`, `average/<name>` (EMA), `best/<monitor>/<name>` (EMA weights of the step
that was the best by it), `optimiser/<name>/<exp_avg|exp_avg_sq|step>`, `adversary/<weights|
optimiser>/…` of a discriminator. Beside them as JSON: the record of the training, the EMA's number
of updates and the gradient scaler's state. See pipeline.training.sealed for how it is kept whole.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.io.errors import UserError
from pipeline.training.record import Record
from pipeline.training.sealed import DamagedError, Tensors, read_sealed, write_sealed

STATE_FILE = "state.safetensors"


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
        """Replace `path` by this state, atomically; what it was is kept beside it.

        Raises:
            DivergedError: numbers of the state are not finite; nothing is written.
            RefusedError: the system refuses to write.
        """
        groups = {
            "weights": self.weights,
            "average": self.average,
            "best": self.best,
            "optimiser": self.optimiser,
            "adversary": self.adversary,
        }
        tensors = {
            f"{group}/{name}": tensor
            for group, members in groups.items()
            for name, tensor in members.items()
        }
        content = {
            "average_updates": self.average_updates,
            "scaler": self.scaler,
            "record": self.record.to_json(),
        }
        write_sealed(path, tensors, content)

    def before_follow_up(self) -> "TrainingState":
        """This state, whatever becomes of record and best weights, which a follow-up changes."""
        record = replace(self.record.copy(), follow_up_due=True)
        return replace(self, best=dict(self.best), record=record)

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
        FileNotFoundError: there is none.
        DamagedError: it is not what was written.
    """
    names = ("weights", "average", "best", "optimiser", "adversary")
    groups: dict[str, Tensors] = {name: {} for name in names}
    tensors, content = read_sealed(path)
    try:
        for key, tensor in tensors.items():
            group, name = key.split("/", 1)
            groups[group][name] = tensor
        return TrainingState(
            **groups,
            average_updates=content["average_updates"],
            scaler=content["scaler"],
            record=Record.from_json(content["record"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{path}: not the state of a training: {error!r}") from None


def read_start(path: Path) -> TrainingState:
    """The final state of another stage's training, as one to begin from.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return read_state(path).as_start()
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the stage that trains this model first") from None
    except DamagedError as error:
        raise UserError(f"{error}; run the stage that trains this model again") from None


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
