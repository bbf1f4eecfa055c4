"""The training loop of the diffusion models.

Every random choice of step s derives from the seed and s, so a training that was killed and
resumed from its last state equals an unbroken one bit for bit (on the CPU, with the same number of
threads). State, curve and sample grids live in one folder while it runs.
"""

import math
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from pipeline.diffusion.adversary import draw_opponents
from pipeline.diffusion.batches import Batch, BatchSource, total_ahead, validation_batches
from pipeline.diffusion.examples import Examples
from pipeline.diffusion.extras import NO_EXTRAS, Extras
from pipeline.diffusion.losses import Loss, training_loss
from pipeline.diffusion.schedules import (
    DiffusionSettings,
    Schedule,
    add_noise,
    make_betas,
    split_output,
    to_x0,
)
from pipeline.diffusion.training_settings import COLOUR_DIVERGENCE, TrainingSettings
from pipeline.io.allocation import keep_freed_memory
from pipeline.io.errors import UserError
from pipeline.io.images import write_image
from pipeline.io.seeding import derive_seed, torch_generator
from pipeline.training.averaged_weights import AveragedWeights
from pipeline.training.grids import SAMPLES_FOLDER
from pipeline.training.late_figures import LateFigures
from pipeline.training.loop import run_steps
from pipeline.training.record import VAL_LOSS, Record, write_curve
from pipeline.training.sealed import newest_whole
from pipeline.training.state import (
    STATE_FILE,
    Tensors,
    TrainingState,
    load_optimiser,
    optimiser_tensors,
    read_state,
)

LOSS_PARTS = ["loss_simple", "loss_vb"]
ADVERSARIAL_PARTS = ["loss_adversarial", "loss_discriminator"]
MEASURES = [VAL_LOSS, COLOUR_DIVERGENCE]


class _Outcome(NamedTuple):
    """A batch with its noisy version and what the network made of it."""

    batch: Batch
    x_t: Tensor
    output: Tensor
    loss: Loss


class Trainer:
    """One training of a network that maps (x_t N×C×h×w, t N, condition N×K×H×W) to its output."""

    def __init__(
        self,
        network: nn.Module,
        train: Examples,
        val: Examples | None,
        diffusion: DiffusionSettings,
        settings: TrainingSettings,
        seed: int,
        folder: Path,
        extras: Extras = NO_EXTRAS,
    ) -> None:
        """Prepare a training.

        Args:
            network: freshly initialised, the same in every process.
            train: what to train on.
            val: examples for the validation loss; None = there are none.
            diffusion: the process and the loss.
            settings: see there.
            seed: decides everything random.
            folder: where state, curve and grids are kept; a state found there is resumed from.
            extras: see there.

        Raises:
            UserError: settings that this machine or these data cannot serve.
        """
        settings.use_threads()
        keep_freed_memory()
        precision = "no" if settings.precision == "fp32" else settings.precision
        if precision == "fp16" and not torch.cuda.is_available():
            raise UserError("training.precision: got fp16, expected bf16 or fp32 without a GPU")
        self.accelerator = Accelerator(mixed_precision=precision)
        settings.check_against(0 if val is None else len(val), self.accelerator.num_processes)
        self.train, self.val, self.extras = train, val, extras
        self.adversary = extras.adversary
        self.diffusion, self.settings = diffusion, settings
        self.seed, self.folder = seed, folder
        self.total_steps = settings.total_steps(len(train))
        self.schedule = Schedule(make_betas(diffusion), self.accelerator.device)
        self.source = self._make_source()
        parts = LOSS_PARTS + (ADVERSARIAL_PARTS if self.adversary else [])
        self.record = Record(parts=parts, measures=list(MEASURES))
        on_gpu = self.accelerator.device.type != "cpu"
        self.losses = LateFigures(self._note_losses, steps_late=int(on_gpu))
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
        self.average = AveragedWeights(network, self.settings.ema_decay)
        if self.adversary is not None:
            self.adversary.prepare(self.accelerator)

    def _make_source(self) -> BatchSource:
        return BatchSource(
            examples=self.train,
            batch_size=self.settings.batch_size,
            drop_rate=self.settings.drop_rate,
            timesteps=self.diffusion.timesteps,
            opening=None if self.adversary is None else self.adversary.settings.timesteps,
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
            UserError: the loss is not a number.
            StoppedError: the process was asked to stop; its state is saved.
        """
        path = self.folder / STATE_FILE
        state = newest_whole(path, read_state, self.accelerator.is_main_process) or start
        if state is not None:
            self._restore(state)
        self.accelerator.wait_for_everyone()  # nobody writes before all have read
        done = self.record.steps_done
        ahead = total_ahead(self.accelerator.device, self.accelerator.num_processes)
        batches = self.source.batches(done, self.total_steps, ahead)
        run_steps(
            lambda step: self._step(step, next(batches)),
            self._follow_up,
            self._state,
            self.record,
            self.total_steps,
            path,
            self.settings.checkpoint_every_s,
            self.accelerator.is_main_process,
            self._any_process,
            self._is_follow_up_due,
        )
        return self._state()

    def _any_process(self, is_asked: bool) -> bool:
        """All processes stop after the same step, else some would wait for the others for ever."""
        if self.accelerator.num_processes == 1:
            return is_asked
        flag = torch.tensor(float(is_asked), device=self.accelerator.device)
        return self.accelerator.reduce(flag, reduction="sum").item() > 0

    def _step(self, step: int, batch: Batch) -> float | None:
        """One optimiser step; returns the newest loss that is known, over all processes."""
        torch.manual_seed(derive_seed(self.seed, "dropout", step, self.accelerator.process_index))
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate_at(step, self.total_steps)
        self.model.train()
        figures, opponents = self._accumulate_gradients(step, batch)
        if self.settings.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.parameters.values(), self.settings.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update()
        if self.adversary is not None:
            figures = torch.cat([figures, self.adversary.learn(*opponents).reshape(1)])
        self.record.steps_done += 1
        figures = self.accelerator.reduce(figures, reduction="mean")
        self.losses.put(step, figures, self.record.parts)
        return self.losses.newest

    def _accumulate_gradients(self, step: int, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Gradients of the mean loss over a batch, part by part; processes share them at the last.

        Returns:
            The mean loss and its terms; and real x_{t−1}, fake ones and t for the discriminator.
        """
        total, figures, opponents = self.settings.accumulation, [], []
        noise = torch_generator(self.seed, "before", step, self.accelerator.process_index)
        for number, part in enumerate(batch.parts(total), start=1):
            alone = nullcontext() if number == total else self.accelerator.no_sync(self.model)
            with alone:
                outcome = self._predict(self.model, part)
                loss, terms = outcome.loss.total, [outcome.loss.simple, outcome.loss.vb]
                if self.adversary is not None:
                    fake, real = self._opponents(outcome, noise)
                    opponents.append((real, fake.detach(), outcome.batch.t))
                    terms.append(self.adversary.generator_term(fake, outcome.batch.t))
                    loss = loss + terms[-1]
                self.accelerator.backward(loss / total)
            figures.append(torch.stack([loss, *terms]).detach())
        return torch.stack(figures).mean(dim=0), [
            torch.cat(tensors) for tensors in zip(*opponents, strict=True)
        ]

    def _note_losses(self, figures: list[float]) -> None:
        self.record.note_losses(*figures)

    def _predict(self, model: nn.Module, batch: Batch) -> _Outcome:
        batch = batch.to(self.accelerator.device)
        x_t = add_noise(batch.x0, batch.epsilon, *self.schedule.factors(batch.t))
        x_t = x_t.contiguous(memory_format=torch.channels_last)
        output = model(x_t, batch.t, batch.condition).float()  # N×gC×h×w
        loss = training_loss(
            output,
            batch.x0,
            batch.epsilon,
            x_t,
            batch.t,
            batch.defects,
            self.schedule,
            self.diffusion,
            self.extras.channel_weights,
        )
        return _Outcome(batch, x_t, output, loss)

    def _opponents(self, outcome: _Outcome, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """x_{t−1} as the network draws it and as it is, for the discriminator."""
        x0, x_t, t = outcome.batch.x0, outcome.x_t, outcome.batch.t
        outputs = split_output(self.diffusion, outcome.output, x0.shape[1])
        x0_hat = to_x0(self.diffusion, outputs, x_t, *self.schedule.factors(t))
        return draw_opponents(x0_hat, x_t, x0, t, self.schedule, noise)

    def _is_due(self, every: int | None) -> bool:
        done = self.record.steps_done
        return every is not None and (done == self.total_steps or done % every == 0)

    def _ends_epoch(self) -> bool:
        done = self.record.steps_done
        return self.source.order.epoch(done) > self.source.order.epoch(done - 1)

    def _is_follow_up_due(self) -> bool:
        settings = self.settings
        intervals = (
            settings.evaluate_every_steps,
            settings.colour_divergence.every_steps,
            settings.log_every_steps,
            settings.preview.every_steps,
        )
        is_last = self.record.steps_done == self.total_steps
        return is_last or self._ends_epoch() or any(map(self._is_due, intervals))

    def _follow_up(self) -> None:
        """What is due after a step: epoch's end, evaluation, row of the curve, sample grid."""
        done, settings, is_due = self.record.steps_done, self.settings, self._is_due
        is_last = done == self.total_steps
        epoch = self.source.order.epoch(done)
        if self._ends_epoch():
            self._monitor("train_loss", self.record.close_epoch())
        measured: dict[str, float | None] = {}
        if is_due(settings.evaluate_every_steps):
            measured[VAL_LOSS] = self._validation_loss()
            self._monitor(VAL_LOSS, measured[VAL_LOSS])
            self._monitor("every", None)
        if is_due(settings.colour_divergence.every_steps):
            measured[COLOUR_DIVERGENCE] = self._colour_divergence()
            self._monitor(COLOUR_DIVERGENCE, measured[COLOUR_DIVERGENCE])
        if is_last:
            for monitor in sorted(settings.monitors - self.record.best.keys()):
                self._monitor(monitor, None)  # shorter than an epoch: the last is the best
        is_measured = any(figure is not None for figure in measured.values())
        if is_measured or is_due(settings.log_every_steps):
            self.record.close_window(
                epoch, measured, settings.learning_rate_at(done - 1, self.total_steps)
            )
        if self.accelerator.is_main_process and is_due(settings.preview.every_steps):
            self._write_grid(done)

    def _monitor(self, monitor: str, value: float | None) -> None:
        if monitor in self.settings.monitors and self.record.is_best(monitor, value):
            for name, tensor in self.average.tensors().items():
                self.best[f"{monitor}/{name}"] = tensor.cpu().clone()

    @torch.no_grad()
    def _validation_loss(self) -> float | None:
        """Loss of the averaged weights on the validation pairs, in the main process."""
        if self.val is None or not self.accelerator.is_main_process:
            return None
        losses, sizes = [], []
        with self.average.in_place() as network:
            for batch in validation_batches(
                self.val, self.settings.batch_size, self.diffusion.timesteps, self.seed
            ):
                losses.append(self._predict(network, batch).loss.total.item())
                sizes.append(len(batch.x0))
        return math.fsum(a * b for a, b in zip(losses, sizes, strict=True)) / sum(sizes)

    def _colour_divergence(self) -> float | None:
        """Of what the averaged weights draw, in the main process."""
        if self.extras.colour_divergence is None or not self.accelerator.is_main_process:
            return None
        with self.average.in_place():
            return self.extras.colour_divergence()

    def _write_grid(self, done: int) -> None:
        if self.extras.draw_grid is None:
            return
        with self.average.in_place():
            grid = self.extras.draw_grid()
        write_image(self.folder / SAMPLES_FOLDER / f"step_{done:06d}.png", grid)
        write_curve(self.folder, self.record)

    def _state(self) -> TrainingState:
        self.losses.settle()
        scaler = self.accelerator.scaler
        return TrainingState(
            weights={name: parameter.detach() for name, parameter in self.parameters.items()},
            average=self.average.tensors(),
            best=self.best,
            optimiser=optimiser_tensors(self.optimiser, list(self.parameters)),
            average_updates=self.average.updates,
            scaler=None if scaler is None else scaler.state_dict(),
            record=self.record,
            adversary={} if self.adversary is None else self.adversary.state(),
        )

    @torch.no_grad()
    def _restore(self, state: TrainingState) -> None:
        for group in (state.weights, state.average):
            if group.keys() != self.parameters.keys():
                raise UserError(
                    f"{STATE_FILE}: its network differs from that of the parameters; "
                    "train the model again"
                )
        for name, parameter in self.parameters.items():
            parameter.copy_(state.weights[name])
        self.average.restore(state.average, state.average_updates)
        load_optimiser(self.optimiser, list(self.parameters), state.optimiser)
        if self.adversary is not None:
            self.adversary.restore(state.adversary)
        if self.accelerator.scaler is not None and state.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.scaler)
        self.best, self.record = state.best, state.record
