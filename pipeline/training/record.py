"""What is written down while a model trains: the loss curve, and which weights were the best.

Weights may be the best by several monitors: those of the thesis (section 6.2.1: the training loss
averaged over an epoch, a validation loss, every N steps) and what SynthSet chooses weights by.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.io.atomic import write_text

VAL_LOSS = "val_loss"


@dataclass
class Best:
    """When a monitored value was the lowest."""

    step: int
    value: float | None  # None: nothing was measured (monitor `every`)


@dataclass
class Record:
    """All figures of a training so far; plain numbers, so that it saves as JSON exactly."""

    parts: list[str] = field(default_factory=list)  # names of the terms that the loss consists of
    measures: list[str] = field(default_factory=lambda: [VAL_LOSS])  # taken now and then
    steps_done: int = 0
    follow_up_due: bool = False  # stopped before what is due after the last step was done
    seconds: float = 0.0
    curve: list[list[float | None]] = field(default_factory=list)  # rows in the order of `columns`
    window: list[list[float]] = field(default_factory=list)  # losses of the steps since that row
    epoch_losses: list[float] = field(default_factory=list)  # of the steps of this epoch
    best: dict[str, Best] = field(default_factory=dict)  # by monitor

    @property
    def columns(self) -> list[str]:
        """Of the curve."""
        return ["step", "epoch", "loss", *self.parts, *self.measures, "lr"]

    def to_json(self) -> dict[str, Any]:
        """As JSON-able dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Record":
        """What `to_json` gave.

        Raises:
            TypeError: it is the record of another version.
        """
        best = {monitor: Best(**entry) for monitor, entry in content["best"].items()}
        return cls(**{**content, "best": best})

    def copy(self) -> "Record":
        """Of its own from here on; rows that are written never change."""
        lists = {"curve": self.curve, "window": self.window, "epoch_losses": self.epoch_losses}
        copied = {name: list(items) for name, items in lists.items()}
        return replace(self, **copied, best=dict(self.best))

    def add_losses(self, loss: float, *parts: float) -> None:
        """Count one finished step: the loss, then its terms in the order of `parts`."""
        self.steps_done += 1
        self.note_losses(loss, *parts)

    def note_losses(self, loss: float, *parts: float) -> None:
        """Take the losses of a step that is counted already, as `add_losses` does."""
        if len(parts) != len(self.parts):
            raise ValueError(f"got {len(parts)} terms of the loss, expected {self.parts}")
        self.window.append([loss, *parts])
        self.epoch_losses.append(loss)

    def close_window(
        self, epoch: int, measured: Mapping[str, float | None], learning_rate: float
    ) -> None:
        """Write a row of the curve: means over the steps since the last one, and measures."""
        means = [math.fsum(column) / len(self.window) for column in zip(*self.window, strict=True)]
        figures = [measured.get(name) for name in self.measures]
        self.curve.append([self.steps_done, epoch, *means, *figures, learning_rate])
        self.window.clear()

    def close_epoch(self) -> float:
        """The mean training loss of the epoch that just ended."""
        mean = math.fsum(self.epoch_losses) / len(self.epoch_losses)
        self.epoch_losses.clear()
        return mean

    def is_best(self, monitor: str, value: float | None) -> bool:
        """Note a monitored value; True if it is the lowest so far, or if none was measured."""
        lowest = self.best[monitor].value if monitor in self.best else None
        if value is not None and lowest is not None and value >= lowest:
            return False
        self.best[monitor] = Best(self.steps_done, value)
        return True


def write_curve(folder: Path, record: Record) -> None:
    """Write curve.csv (losses are means since the row before) and curve.png."""
    lines = [",".join(record.columns)]
    for row in record.curve:
        lines.append(",".join("" if figure is None else repr(figure) for figure in row))
    write_text(folder / "curve.csv", "\n".join(lines) + "\n")
    _draw_curve(folder / "curve.png", record)


def _draw_curve(path: Path, record: Record) -> None:
    # here, since every training stage imports this module long before it draws
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for column, label in (("loss", "training"), (VAL_LOSS, "validation, averaged weights")):
        if column not in record.columns:
            continue
        index = record.columns.index(column)
        points = [(row[0], row[index]) for row in record.curve if row[index] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, linewidth=1)
    for monitor, best in record.best.items():
        axes.axvline(best.step, color="grey", linestyle=":", label=f"best by {monitor}")
    axes.set(xlabel="step", ylabel="loss")
    if all(row[record.columns.index("loss")] > 0 for row in record.curve):
        axes.set_yscale("log")
    axes.legend()
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png", dpi=100)
    temporary.replace(path)
