"""Training of one segmenter with one seed (the thesis's chapter 7.1.2).

The real validation pairs choose the best weights by mIoU; the test pairs play no part here. All
randomness is a function of seed and step, so that a killed training, resumed, ends in the very
weights of an unbroken one.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import nn

from pipeline.data.augmentation import AugmentationSettings, transform_pair
from pipeline.data.pairs import Pairs
from pipeline.evaluation.overlap import defect_iou, reduce_score
from pipeline.io.errors import StoppedError, UserError
from pipeline.io.params import Settings
from pipeline.io.progress import Progress, progress
from pipeline.io.seeding import derive_seed, numpy_rng
from pipeline.models.segmenters import Architecture, NetworkSettings, Segmenter, build_segmenter
from pipeline.segmentation.batches import batch_positions, steps_per_epoch
from pipeline.segmentation.checkpoint import (
    TrainingState,
    load_state,
    optimiser_tensors,
    restore_optimiser,
    save_state,
)
from pipeline.segmentation.losses import LOSSES, LossName
from pipeline.segmentation.prediction import count_pixels, predict, to_input
from pipeline.training.divergence import DivergedError, diverged
from pipeline.training.interruption import Interruption
from pipeline.training.late_figures import LateFigures
from pipeline.training.sealed import Tensors, newest_whole


class BudgetSettings(Settings):
    """How long to train. Steps make mixes of different sizes cost, and learn, the same."""

    unit: Literal["epochs", "steps"]
    amount: int = Field(ge=1)


class TrainingSettings(Settings):
    """Training of a segmenter."""

    loss: LossName = "dice_ce"
    optimiser: Literal["adamw", "sgd"] = "adamw"
    momentum: float = Field(default=0.9, ge=0, lt=1)  # sgd
    learning_rate: float = Field(default=3e-4, gt=0)  # at the start
    weight_decay: float = Field(default=1e-2, ge=0)
    schedule: Literal["cosine", "none"] = "cosine"  # of the learning rate, down to 0
    batch_size: int = Field(default=8, ge=2)
    budget: BudgetSettings
    validate_every_steps: int | None = Field(default=None, ge=1)  # None = after each epoch
    checkpoint_every_s: float = Field(default=20.0, ge=0)  # 0 = after each step
    monitor: Literal["miou", "defect_iou"] = "miou"  # macro-imagewise, or pooled without background


class RepeatedTrainingSettings(TrainingSettings):
    """Training with several seeds."""

    seeds: int = Field(ge=1)


@dataclass(frozen=True)
class TrainingData:
    """What a segmenter learns from; without validation pairs the last weights are the best."""

    train: Pairs
    val: Pairs | None
    total_classes: int  # background included
    augmentation: AugmentationSettings | None


@dataclass(frozen=True)
class TrainedSegmenter:
    """The best weights of a training, and how it got there."""

    network: Segmenter  # in evaluation mode
    curve: pd.DataFrame  # step, epoch, train_loss, val_defect_iou, val_miou
    total_steps: int
    best_step: int
    best_value: float  # of the monitored score; NaN without validation pairs
    seconds: float


def train_segmenter(
    architecture: Architecture,
    network_settings: NetworkSettings,
    settings: TrainingSettings,
    data: TrainingData,
    seed: int,
    state_path: Path,
    what: str,
) -> TrainedSegmenter:
    """Train with one seed, going on from `state_path` where an earlier run was killed.

    Args:
        architecture: of the network.
        network_settings: encoder and input.
        settings: loss, optimiser, budget.
        data: pairs in memory.
        seed: of initial weights, order, dropout and augmentation.
        state_path: file for the state; once finished it holds the best weights alone.
        what: name of the training in its progress line.

    Raises:
        UserError: too few pairs, weights that cannot be had, or a loss that is no number.
        StoppedError: the process was asked to stop; its state is saved.
    """
    network = build_segmenter(architecture, network_settings, data.total_classes, seed)
    return train_on(network, settings, data, seed, state_path, what)


def train_on(
    network: Segmenter,
    settings: TrainingSettings,
    data: TrainingData,
    seed: int,
    state_path: Path,
    what: str,
) -> TrainedSegmenter:
    """Train `network` itself from the weights that it has; else as `train_segmenter`."""
    trainer = _Trainer(network, settings, data, seed, state_path)
    trainer.run(what)
    return trainer.result()


class _Trainer:
    """Network, optimiser and state of one training."""

    def __init__(
        self,
        network: Segmenter,
        settings: TrainingSettings,
        data: TrainingData,
        seed: int,
        state_path: Path,
    ) -> None:
        _check_monitor(settings, data)
        self.settings, self.data, self.seed, self.state_path = settings, data, seed, state_path
        self.epoch_steps = steps_per_epoch(len(data.train), settings.batch_size)
        in_steps = 1 if settings.budget.unit == "steps" else self.epoch_steps
        self.total_steps = settings.budget.amount * in_steps
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # a quarter faster on the CPU for networks of depthwise convolutions
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.optimiser = make_optimiser(self.network, settings)
        self.state = TrainingState()
        self.best: Tensors = {}
        self.losses = LateFigures(self._note_loss, steps_late=int(self.device.type != "cpu"))
        earlier = newest_whole(state_path, load_state)
        if earlier is not None:
            self._restore(*earlier)

    def run(self, what: str) -> None:
        """All steps that are left.

        Raises:
            UserError: the loss is not a number any more; the last good state is kept.
            StoppedError: the process was asked to stop; its state is saved.
        """
        started, saved = time.monotonic() - self.state.seconds, time.monotonic()
        saved_step = self.state.step
        bar_of_steps = progress(self.total_steps, what, initial=saved_step)
        with Interruption() as interruption, bar_of_steps as bar:
            while not self._is_finished:
                step = self.state.step
                try:
                    self._take_step(step, bar, interruption)
                    self.state.seconds = time.monotonic() - started
                    is_due = time.monotonic() - saved >= self.settings.checkpoint_every_s
                    if self._is_finished or is_due or interruption.asked:
                        self._save()
                        saved, saved_step = time.monotonic(), self.state.step
                except DivergedError as error:
                    raise diverged(step, error, self.state_path, saved_step) from None
                if interruption.asked and not self._is_finished:
                    kept = f"{what}: the state after step {saved_step} of {self.total_steps}"
                    raise StoppedError(interruption.signal_or_term, f"{kept} is saved")

    def _take_step(self, step: int, bar: Progress, interruption: Interruption) -> None:
        """One step with the validation that is due after it, or that one alone if it is missing.

        A validation that is broken off leaves the state as it was, for the next run to begin with.
        """
        if not self._lacks_validation:
            self.losses.put(step, self._train_step(step).reshape(1))
            self.state.step += 1
            bar.update(1)
            if self._validation_is_due:
                self.losses.settle()
        if self._lacks_validation:
            try:
                with interruption.at_once():
                    scores = self._validation_scores()
            except StoppedError:
                return
            self._note(scores)
            bar.note(**{name: score for name, score in scores.items() if not np.isnan(score)})

    def result(self) -> TrainedSegmenter:
        """The best weights and the curve."""
        self.network.load_state_dict(self.best)
        return TrainedSegmenter(
            network=self.network.eval(),
            curve=pd.DataFrame(self.state.curve),
            total_steps=self.total_steps,
            best_step=self.state.best_step,
            best_value=self.state.best_value,
            seconds=self.state.seconds,
        )

    def _train_step(self, step: int) -> torch.Tensor:
        images, masks = self._batch(step)
        torch.manual_seed(derive_seed(self.seed, "segmenter-dropout", step))
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate(step)
        self.network.train()
        loss = LOSSES[self.settings.loss](self.network(images), masks)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images float n×3×H×W in [−1, 1] and masks int n×H×W."""
        train = self.data.train
        chosen = batch_positions(len(train), self.settings.batch_size, self.seed, step)
        images, masks = train.images[chosen], train.masks[chosen]
        if self.data.augmentation is not None:
            for place in range(len(chosen)):
                rng = numpy_rng(self.seed, "segmenter-augmentation", step, place)
                images[place], masks[place], _ = transform_pair(
                    rng, images[place], masks[place], None, self.data.augmentation
                )
        return to_input(images, self.device), torch.from_numpy(masks).to(self.device).long()

    def _learning_rate(self, step: int) -> float:
        if self.settings.schedule == "none":
            return self.settings.learning_rate
        return self.settings.learning_rate * (1 + math.cos(math.pi * step / self.total_steps)) / 2

    @property
    def _validation_is_due(self) -> bool:
        every = self.settings.validate_every_steps or self.epoch_steps
        return self.state.step % every == 0 or self.state.step == self.total_steps

    @property
    def _lacks_validation(self) -> bool:
        """Whether it is due after the last step; once it is done, no losses are left."""
        return self._validation_is_due and bool(self.state.losses)

    @property
    def _is_finished(self) -> bool:
        return self.state.step == self.total_steps and not self._lacks_validation

    def _note(self, scores: dict[str, float]) -> None:
        """Enter a validation into the curve, and keep the weights if they are the best."""
        step, train_loss = self.state.step, float(np.mean(self.state.losses))
        point = {"step": step, "epoch": step / self.epoch_steps, "train_loss": train_loss}
        self.state.curve.append(point | scores)
        self.state.losses.clear()
        value = scores[f"val_{self.settings.monitor}"]
        if self.data.val is None or value > self.state.best_value:
            self.state.best_step, self.state.best_value = step, value
            self.best = {
                name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()
            }

    def _validation_scores(self) -> dict[str, float]:
        val = self.data.val
        if val is None:
            return {"val_defect_iou": math.nan, "val_miou": math.nan}
        counts = count_pixels(predict(self.network, val.images), val.masks, self.data.total_classes)
        return {
            "val_defect_iou": defect_iou(counts),
            "val_miou": reduce_score(counts, "iou", "macro-imagewise"),
        }

    def _note_loss(self, figures: list[float]) -> None:
        self.state.losses += figures

    def _save(self) -> None:
        """Once finished, the best weights alone."""
        self.losses.settle()
        parts = {"best": self.best}
        if not self._is_finished:
            parts["weights"] = self.network.state_dict()
            parts["optimiser"] = optimiser_tensors(self.optimiser)
        save_state(self.state_path, self.state, parts)

    def _restore(self, state: TrainingState, parts: dict[str, Tensors]) -> None:
        self.state = state
        self.best = parts.get("best", {})  # none before the first validation
        if not self._is_finished:
            self.network.load_state_dict(parts["weights"])
            # plain SGD has nothing to restore
            restore_optimiser(self.optimiser, parts.get("optimiser", {}))


def make_optimiser(network: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """That of the settings, for all parameters of the network."""
    common: dict[str, Any] = {
        "lr": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        # one kernel for all parameters; on the CPU its step takes a third of the time
        "fused": True,
    }
    if settings.optimiser == "sgd":
        return torch.optim.SGD(network.parameters(), momentum=settings.momentum, **common)
    return torch.optim.AdamW(network.parameters(), **common)


def _check_monitor(settings: TrainingSettings, data: TrainingData) -> None:
    if settings.monitor == "defect_iou" and data.val is not None and not data.val.masks.any():
        raise UserError(
            "monitor: got defect_iou, but none of the validation pairs shows a defect; "
            "choose monitor: miou or enlarge split.val"
        )
