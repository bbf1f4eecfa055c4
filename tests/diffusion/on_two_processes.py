"""What test_two_processes starts twice at once: trains and samples in a folder."""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from test_sample_set import make_job
from test_training import NETWORK, TRAINING, pairs

from pipeline.data.augmentation import GeometricSettings
from pipeline.diffusion.examples import PhotoExamples
from pipeline.diffusion.sample_set import drawn_store, write_set
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.diffusion.training import Trainer
from pipeline.io.errors import run
from pipeline.models.spade_unet import build_network

DIFFUSION = DiffusionSettings(timesteps=100, loss="hybrid", prediction="v")
COUNT = 10  # batches of 4: two and a half, so one process draws a batch more than the other


def train(folder, total_pairs=6):
    """Without dropout, whose noise belongs to a process."""
    torch.manual_seed(0)
    network = build_network(
        NETWORK.model_copy(update={"dropout": 0.0}), 3, DIFFUSION.output_groups, (8, 8)
    )
    return Trainer(
        network,
        PhotoExamples(pairs(total_pairs), TRAINING.augment, 7, 2),
        PhotoExamples(pairs(3, seed=1), GeometricSettings(), 7, 2),
        DIFFUSION,
        TRAINING.model_copy(update={"checkpoint_every_s": 1000.0}),
        7,
        folder,
    ).run()


def train_on_few(folder):
    """Three pairs for batches of four, two to a process."""
    train(folder, total_pairs=3)


def sample(folder):
    os.environ["DVC_ROOT"] = str(folder)
    job = make_job(COUNT)
    with drawn_store(job, {"a": 1}) as store:
        write_set(job, store, folder / "set", {})


def train_and_be_stopped(folder):
    """Only the second process is sent the signal, yet both stop after the same step."""
    plain = Trainer._step

    def signalled(self, step, batch):
        if step == 4 and self.accelerator.process_index == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        return plain(self, step, batch)

    Trainer._step = signalled
    try:
        train(folder)
    except KeyboardInterrupt as stop:
        (folder / f"stopped-{os.environ['RANK']}").write_text(str(stop))
    finally:
        Trainer._step = plain


ALL = (train, train_on_few, train_and_be_stopped, sample)  # the last parts the processes


def main():
    folder = Path(sys.argv[1])
    (folder / f"rank-{os.environ['RANK']}").touch()
    for action in ALL:
        action(folder / action.__name__)


if __name__ == "__main__":
    run(main)
