"""The training loop of the diffusion models.

Every random choice of step s derives from the seed and s, so a training that was killed and
resumed from its last state equals an unbroken one bit for bit (on the CPU, with the same number of
threads). State, curve and sample grids live in one folder while it runs.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn

from pipeline.data.pairs import Pairs
from pipeline.diffusion.batches import Batch, BatchSource, validation_batches
from pipeline.diffusion.interruption import Interruption
from pipeline.diffusion.losses import Loss, training_loss
from pipeline.diffusion.monitoring import Record, write_curve
from pipeline.diffusion.previews import Preview
from pipeline.diffusion.schedules import DiffusionSettings, Schedule, add_noise, make_betas
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.diffusion.training_state import (
    STATE_FILE,
    Tensors,
    TrainingState,
    load_optimiser,
    optimiser_tensors,
    read_state,
)
from pipeline.io.errors import UserError
from pipeline.io.images import write_image
from pipeline.io.progress import progress
from pipeline.io.seeding import derive_seed

SAMPLES_FOLDER = "samples"


class Trainer:
    """One training of a network that maps (x_t N×3×H×W, t N, condition N×K×H×W) to its output."""

    def __init__(
        self,
        network: nn.Module,
        train: Pairs,
        val: Pairs | None,
        colours: list[tuple[int, int, int]],
        diffusion: DiffusionSettings,
        settings: TrainingSettings,
        seed: int,
        folder: Path,
    ) -> None:
        """Prepare a training.

        Args:
            network: freshly initialised, the same in every process.
            train: pairs to train on; with silhouettes iff the network's condition has them.
            val: pairs for the validation loss and the previews; None = there are none.
            colours: one a class, background first.
            diffusion: the process and the loss.
            settings: see there.
            seed: decides everything random.
            folder: where state, curve and grids are kept; a state found there is resumed from.

        Raises:
            UserError: settings that this machine or these data cannot serve.
        """
        torch.set_num_threads(settings.threads or os.cpu_count() or 1)
        precision = "no" if settings.precision == "fp32" else settings.precision
        if precision == "fp16" and not torch.cuda.is_available():
            raise UserError("training.precision: got fp16, expected bf16 or fp32 without a GPU")
        self.accelerator = Accelerator(mixed_precision=precision)
        settings.check_against(0 if val is None else len(val), self.accelerator.num_processes)
        self.train_pairs, self.val_pairs, self.colours = train, val, colours
        self.diffusion, self.settings = diffusion, settings
        self.seed, self.folder = seed, folder
        self.total_steps = settings.total_steps(len(train))
        self.schedule = Schedule(make_betas(diffusion), self.accelerator.device)
        self.source = self._make_source()
        self.record = Record()
        self.best: Tensors = {}
        self._prepare(network)

    def _prepare(self, network: nn.Module) -> None:
        if self.settings.gradient_checkpointing:
            network.enable_gradient_checkpointing()
        network.to(self.accelerator.device, memory_format=torch.channels_last)
        self.network = network
        self.parameters = dict(network.named_parameters())
        optimiser = torch.optim.AdamW(
            self.parameters.values(), weight_decay=self.settings.weight_decay, fused=True
        )
        self.model, self.optimiser = self.accelerator.prepare(network, optimiser)
        # Without use_ema_warmup diffusers still warms up, by decay min(ema_decay, (1 + n)/(10 + n))
        # at update n: the window is a tenth of the training so far, until ema_decay caps it.
        self.average = EMAModel(
            self.parameters.values(), decay=self.settings.ema_decay, foreach=True
        )

    def _make_source(self) -> BatchSource:
        return BatchSource(
            pairs=self.train_pairs,
            total_classes=len(self.colours),
            batch_size=self.settings.batch_size,
            drop_rate=self.settings.drop_rate,
            augment=self.settings.augment,
            timesteps=self.diffusion.timesteps,
            seed=self.seed,
            rank=self.accelerator.process_index,
            total_ranks=self.accelerator.num_processes,
        )

    def run(self, start: TrainingState | None = None) -> TrainingState:
        """Train to the end and return the final state (equal in all processes, but for `best`
        and the validation losses, which the main process alone has).

        Args:
            start: what to begin from if `folder` holds no state yet; None = the new network.

        Raises:
            UserError: the loss is not a number, or the process was asked to stop.
        """
        path = self.folder / STATE_FILE
        state = read_state(path) if path.exists() else start
        if state is not None:
            self._restore(state)
        self.accelerator.wait_for_everyone()  # nobody writes before all have read
        done, is_main = self.record.steps_done, self.accelerator.is_main_process
        if is_main:
            print(f"grids and curve appear in {self.folder}; starting at step {done}", flush=True)
        saved = time.monotonic()
        on_gpu = self.accelerator.device.type != "cpu"
        batches = self.source.batches(done, self.total_steps, ahead=on_gpu)
        shown = progress(self.total_steps, "training", done) if is_main else nullcontext()
        with Interruption() as interruption, shown as bar:
            for step, batch in enumerate(batches, start=done):
                began = time.monotonic()
                loss = self._step(step, batch)
                self._follow_up()
                self.record.seconds += time.monotonic() - began
                if bar is not None:
                    bar.note(loss=loss)
                    bar.update()
                is_due = time.monotonic() - saved >= self.settings.checkpoint_every_s
                is_last = step + 1 == self.total_steps
                if is_main and (is_due or is_last or interruption.asked):
                    self._state().write(path)
                    saved = time.monotonic()
                if interruption.asked and not is_last:
                    raise UserError(f"stopped after step {step + 1}; run again to continue")
        return self._state()

    def _step(self, step: int, batch: Batch) -> float:
        """One optimiser step; returns the loss over all processes."""
        torch.manual_seed(derive_seed(self.seed, "dropout", step, self.accelerator.process_index))
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate_at(step, self.total_steps)
        self.model.train()
        loss = self._loss(self.model, batch)
        figures = self.accelerator.reduce(torch.stack(loss).detach(), reduction="mean").tolist()
        if not math.isfinite(figures[0]):
            raise UserError(
                f"training: the loss of step {step + 1} is {figures[0]}, expected a finite number; "
                "lower training.learning_rate, set training.clip_norm or use precision fp32"
            )
        self.accelerator.backward(loss.total)
        if self.settings.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.parameters.values(), self.settings.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.step(self.parameters.values())
        self.record.add_losses(*figures)
        return figures[0]

    def _loss(self, model: nn.Module, batch: Batch) -> Loss:
        batch = batch.to(self.accelerator.device)
        x_t = add_noise(batch.images, batch.epsilon, *self.schedule.factors(batch.t))
        x_t = x_t.contiguous(memory_format=torch.channels_last)
        output = model(x_t, batch.t, batch.condition).float()  # N×3 or 6×H×W
        return training_loss(
            output,
            batch.images,
            batch.epsilon,
            x_t,
            batch.t,
            batch.defects,
            self.schedule,
            self.diffusion,
        )

    def _follow_up(self) -> None:
        """What is due after a step: epoch's end, evaluation, row of the curve, sample grid."""
        done, settings = self.record.steps_done, self.settings
        is_last = done == self.total_steps

        def is_due(every: int | None) -> bool:
            return every is not None and (is_last or done % every == 0)

        epoch = self.source.epoch(done)
        if epoch > self.source.epoch(done - 1):
            self._monitor("train_loss", self.record.close_epoch())
        val_loss = None
        if is_due(settings.evaluate_every_steps):
            val_loss = self._validation_loss()
            self._monitor("val_loss", val_loss)
            self._monitor("every", None)
        if is_last and not self.best:
            self._monitor(settings.monitor, None)  # shorter than an epoch: the last is the best
        if val_loss is not None or is_due(settings.log_every_steps):
            self.record.close_window(
                epoch, val_loss, settings.learning_rate_at(done - 1, self.total_steps)
            )
        if self.accelerator.is_main_process and is_due(settings.preview.every_steps):
            self._write_grid(done)

    def _monitor(self, monitor: str, value: float | None) -> None:
        if monitor == self.settings.monitor and self.record.is_best(value):
            self.best = {name: tensor.cpu().clone() for name, tensor in self._average().items()}

    @torch.no_grad()
    def _validation_loss(self) -> float | None:
        """Loss of the averaged weights on the validation pairs, in the main process."""
        if self.val_pairs is None or not self.accelerator.is_main_process:
            return None
        losses, sizes = [], []
        with self._averaged_network() as network:
            for batch in validation_batches(
                self.val_pairs,
                len(self.colours),
                self.settings.batch_size,
                self.diffusion.timesteps,
                self.seed,
            ):
                losses.append(self._loss(network, batch).total.item())
                sizes.append(len(batch.images))
        return math.fsum(a * b for a, b in zip(losses, sizes, strict=True)) / sum(sizes)

    def _write_grid(self, done: int) -> None:
        shown = self.train_pairs if self.val_pairs is None else self.val_pairs
        preview = Preview(shown, self.colours, self.settings.preview, self.seed)
        with self._averaged_network() as network:
            grid = preview.grid(network, self.diffusion)
        write_image(self.folder / SAMPLES_FOLDER / f"step_{done:06d}.png", grid)
        write_curve(self.folder, self.record)

    @contextmanager
    def _averaged_network(self) -> Iterator[nn.Module]:
        """The network with the averaged weights, in evaluation mode."""
        parameters = list(self.parameters.values())
        self.average.store(parameters)
        self.average.copy_to(parameters)
        try:
            yield self.network.eval()
        finally:
            self.average.restore(parameters)

    def _average(self) -> Tensors:
        return dict(zip(self.parameters, self.average.shadow_params, strict=True))

    def _state(self) -> TrainingState:
        scaler = self.accelerator.scaler
        return TrainingState(
            weights={name: parameter.detach() for name, parameter in self.parameters.items()},
            average=self._average(),
            best=self.best,
            optimiser=optimiser_tensors(self.optimiser, list(self.parameters)),
            average_updates=self.average.optimization_step,
            scaler=None if scaler is None else scaler.state_dict(),
            record=self.record,
        )

    @torch.no_grad()
    def _restore(self, state: TrainingState) -> None:
        for group, own in ((state.weights, self.parameters), (state.average, self._average())):
            if group.keys() != own.keys():
                raise UserError(
                    f"{STATE_FILE}: its network differs from that of the parameters; "
                    "train the image model again"
                )
            for name, tensor in own.items():
                tensor.copy_(group[name])
        load_optimiser(self.optimiser, list(self.parameters), state.optimiser)
        if self.accelerator.scaler is not None and state.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.scaler)
        self.average.optimization_step = state.average_updates
        self.best, self.record = state.best, state.record
