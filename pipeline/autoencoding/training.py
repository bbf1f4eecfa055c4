"""The training loop of the autoencoders; a killed training resumes bit for bit.

One process on one device: an autoencoder of this size trains in hours on a GPU.
"""

import math
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.autoencoding.adversarial import Adversary
from pipeline.autoencoding.bottleneck import pass_through, spread_codebook
from pipeline.autoencoding.examples import Batch, Examples, memory_format
from pipeline.autoencoding.objectives import Objective
from pipeline.autoencoding.settings import (
    AdversarialSettings,
    AutoencoderTrainingSettings,
    LatentLossSettings,
)
from pipeline.io.cores import total_cores
from pipeline.io.images import write_image
from pipeline.io.seeding import derive_seed, torch_generator
from pipeline.models.autoencoder import Autoencoder
from pipeline.training.grids import SAMPLES_FOLDER, spread, tile
from pipeline.training.late_figures import LateFigures
from pipeline.training.loop import run_steps
from pipeline.training.order import Order
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

BETAS = (0.9, 0.99)
CODEBOOK_BATCHES = 4  # whose latents a new codebook starts from


class Trainer:
    """One training of an autoencoder."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        objective: Objective,
        latent_loss: LatentLossSettings,
        adversarial: AdversarialSettings | None,
        train: Examples,
        val: Examples | None,
        settings: AutoencoderTrainingSettings,
        is_new: bool,
        seed: int,
        folder: Path,
    ) -> None:
        """Prepare a training.

        Args:
            autoencoder: what to train.
            objective: what its reconstructions should be like.
            latent_loss: weights of the latents' own term.
            adversarial: the discriminator's; None, or weight 0 = there is none.
            train: to train on.
            val: for the validation loss and the previews; None = there are none.
            settings: see there.
            is_new: it was never trained, so its codebook is to be spread.
            seed: decides everything random.
            folder: where state, curve and grids are kept; a state found there is resumed from.
        """
        self.device = training_device()
        torch.set_num_threads(settings.threads or total_cores())
        self.autoencoder = autoencoder.to(self.device, memory_format=memory_format(self.device))
        self.objective, self.settings, self.is_new = objective, settings, is_new
        self.train_set, self.val_set = train, val
        self.seed, self.folder = seed, folder
        self.order = Order(len(train), settings.batch_size, seed)
        weights = {"vq": latent_loss.codebook_weight, "kl": latent_loss.kl_weight}
        self.latent_weight = weights[autoencoder.kind]
        self.parameters = dict(autoencoder.named_parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(), betas=BETAS, weight_decay=settings.weight_decay, fused=True
        )
        self.adversary = None
        if adversarial is not None and adversarial.weight > 0:
            torch.manual_seed(derive_seed(seed, "discriminator"))
            self.adversary = Adversary(autoencoder.channels, adversarial, self.device)
        self.record = Record()
        on_gpu = self.device.type != "cpu"
        self.losses = LateFigures(self._note_losses, steps_late=int(on_gpu))

    def run(self) -> TrainingState:
        """Train to the end and return the final state; the autoencoder has the final weights.

        Raises:
            UserError: the loss is not a number.
            StoppedError: the process was asked to stop; its state is saved.
        """
        path = self.folder / STATE_FILE
        state = newest_whole(path, read_state)
        if state is not None:
            self._restore(state)
        elif self.is_new and self.autoencoder.kind == "vq":
            self._spread_codebook()
        run_steps(
            self._step,
            self._follow_up,
            self._state,
            self.record,
            self.settings.max_steps,
            path,
            self.settings.checkpoint_every_s,
            is_due=self._is_follow_up_due,
        )
        return self._state()

    def _step(self, step: int) -> float | None:
        """One step of the autoencoder, and of the discriminator; returns the newest loss."""
        rate = self.settings.learning_rate_at(step, self.settings.max_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.autoencoder.train()
        batch = self.train_set.augmented(step, self.order.indices(step)).to(self.device)
        reconstruction, terms = self._loss(step, batch)
        loss = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad()
        loss.backward()
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.clip_norm)
        self.optimiser.step()
        if self.adversary is not None:
            active = self.adversary.is_active(step)
            terms["discriminator"] = (
                self.adversary.learn(batch.x, reconstruction, rate)
                if active
                else torch.zeros((), device=self.device)
            )
        self.record.parts = list(terms)
        self.record.steps_done += 1
        figures = torch.stack([loss, *terms.values()]).detach()
        self.losses.put(step, figures, self.record.parts)
        return self.losses.newest

    def _note_losses(self, figures: list[float]) -> None:
        self.record.note_losses(*figures)

    def _loss(self, step: int, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstructions and the weighted terms of the autoencoder's loss."""
        noise = torch_generator(self.seed, "posterior", step)
        with self._autocast():
            reconstruction, penalty = pass_through(self.autoencoder, batch.x, noise)
            terms = self.objective.terms(reconstruction, batch)
            fidelity = torch.stack(list(terms.values())).sum()
            terms["latent"] = self.latent_weight * penalty
            if self.adversary is not None:
                terms["adversarial"] = torch.zeros((), device=self.device)
                if self.adversary.is_active(step):
                    terms["adversarial"] = self.adversary.generator_term(
                        fidelity, reconstruction, self.autoencoder.network.decoder.conv_out.weight
                    )
        return reconstruction, terms

    def _is_due(self, every: int | None) -> bool:
        done = self.record.steps_done
        return every is not None and (done == self.settings.max_steps or done % every == 0)

    def _ends_epoch(self) -> bool:
        done = self.record.steps_done
        return self.order.epoch(done) > self.order.epoch(done - 1)

    def _is_follow_up_due(self) -> bool:
        settings = self.settings
        intervals = (
            settings.evaluate_every_steps,
            settings.log_every_steps,
            settings.preview.every_steps,
        )
        return self._ends_epoch() or any(map(self._is_due, intervals))

    def _follow_up(self) -> None:
        """What is due after a step: epoch's end, evaluation, row of the curve, grid."""
        done, settings, is_due = self.record.steps_done, self.settings, self._is_due
        epoch = self.order.epoch(done)
        if self._ends_epoch():
            self.record.close_epoch()
        val_loss = None
        if self.val_set is not None and is_due(settings.evaluate_every_steps):
            val_loss = self._validation_loss(self.val_set)
        if val_loss is not None or is_due(settings.log_every_steps):
            rate = settings.learning_rate_at(done - 1, settings.max_steps)
            self.record.close_window(epoch, {VAL_LOSS: val_loss}, rate)
        if is_due(settings.preview.every_steps):
            self._write_grid(done)

    @torch.no_grad()
    def _validation_loss(self, examples: Examples) -> float:
        """Terms of the objective, without those of latents and discriminator."""
        losses = []
        for first in range(0, len(examples), self.settings.batch_size):
            stop = min(first + self.settings.batch_size, len(examples))
            batch = examples.plain(list(range(first, stop))).to(self.device)
            terms = self.objective.terms(self._reconstruct(batch.x), batch)
            losses.append(sum(term.item() for term in terms.values()) * (stop - first))
        return math.fsum(losses) / len(examples)

    @torch.no_grad()
    def _reconstruct(self, x: Tensor) -> Tensor:
        self.autoencoder.eval()
        with self._autocast():
            return self.autoencoder.decode(self.autoencoder.latents(x)).float()

    def _write_grid(self, done: int) -> None:
        shown = self.train_set if self.val_set is None else self.val_set
        batch = shown.plain(spread(len(shown), self.settings.preview.count)).to(self.device)
        rows = [("original", batch.x), ("reconstruction", self._reconstruct(batch.x))]
        grid = tile([(name, shown.paint(x)) for name, x in rows])
        write_image(self.folder / SAMPLES_FOLDER / f"step_{done:06d}.png", grid)
        write_curve(self.folder, self.record)

    @torch.no_grad()
    def _spread_codebook(self) -> None:
        inputs = [self._first_inputs(step) for step in range(CODEBOOK_BATCHES)]
        latents = torch.cat([self.autoencoder.latents(x) for x in inputs])
        spread_codebook(self.autoencoder, latents, torch_generator(self.seed, "codebook"))

    def _first_inputs(self, step: int) -> Tensor:
        return self.train_set.augmented(step, self.order.indices(step)).to(self.device).x

    def _autocast(self) -> AbstractContextManager:
        is_on = self.settings.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=is_on)

    def _models(self) -> dict[str, tuple[dict[str, nn.Parameter], torch.optim.Optimizer]]:
        models = {"autoencoder": (self.parameters, self.optimiser)}
        if self.adversary is not None:
            models["discriminator"] = (self.adversary.parameters, self.adversary.optimiser)
        return models

    def _state(self) -> TrainingState:
        self.losses.settle()
        weights: Tensors = {}
        optimiser: Tensors = {}
        for model, (parameters, adam) in self._models().items():
            weights |= {f"{model}.{name}": p.detach() for name, p in parameters.items()}
            optimiser |= optimiser_tensors(adam, [f"{model}.{name}" for name in parameters])
        return TrainingState(weights, {}, {}, optimiser, 0, None, self.record)

    @torch.no_grad()
    def _restore(self, state: TrainingState) -> None:
        for model, (parameters, adam) in self._models().items():
            for name, parameter in parameters.items():
                parameter.copy_(state.weights[f"{model}.{name}"])
            prefix = f"{model}."
            own = {key: t for key, t in state.optimiser.items() if key.startswith(prefix)}
            load_optimiser(adam, [prefix + name for name in parameters], own)
        self.record = state.record


def training_device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
