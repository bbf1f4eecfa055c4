"""Stage train-autoencoder: of photos."""

from pathlib import Path

from pipeline.autoencoding.examples import PhotoExamples
from pipeline.autoencoding.measurement import photo_errors
from pipeline.autoencoding.objectives import PhotoObjective
from pipeline.autoencoding.runs import Task, train_autoencoder
from pipeline.autoencoding.settings import AutoencoderSettings
from pipeline.data.split_pairs import read_pairs

PHOTO_CHANNELS = 3


def train_photo_autoencoder(
    prepared: Path, out: Path, settings: AutoencoderSettings, seed: int, reduction: int = 1
) -> None:
    """Train an autoencoder on the training photos of `prepared` and write the folder `out`.

    Args:
        prepared: the prepared set; only its training and validation pairs are read.
        out: replaced whole at the end.
        settings: section `autoencoder`.
        seed: the pipeline's.
        reduction: factor by which the photos are smaller than those of the prepared set.

    Raises:
        UserError: data or parameters that do not fit.
    """
    train, val = (read_pairs(prepared, split, False, reduction) for split in ("train", "val"))
    augment = settings.training.augment
    task = Task(
        stage="train-autoencoder",
        section="autoencoder",
        settings=settings,
        channels=PHOTO_CHANNELS,
        train=PhotoExamples(train, augment, seed),
        val=None if val is None else PhotoExamples(val, augment, seed),
        objective=lambda device: PhotoObjective(settings.loss, device),
        latent_loss=settings.loss,
        adversarial=settings.loss.adversarial,
        as_codec=lambda codec: codec,
        errors=photo_errors,
        code=None,
        seed=seed,
    )
    train_autoencoder(task, prepared, out, key={"reduction": reduction})
