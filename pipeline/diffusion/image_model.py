"""A trained image model, read from its folder: what `train-image-dm` writes and `sample` uses."""

from pathlib import Path
from typing import Literal

from pipeline.data.pairs import Pairs
from pipeline.diffusion.image_kinds import IMAGE_KINDS, IMAGE_SETTINGS
from pipeline.diffusion.model_folder import ModelCard, read_card
from pipeline.diffusion.painting import Painter
from pipeline.io.errors import UserError
from pipeline.io.manifests import read_classes


def load_image_model(
    folder: Path, checkpoint: Literal["best", "last"], autoencoder: Path
) -> tuple[Painter, ModelCard]:
    """What draws with a trained network (CPU, evaluation mode), and its card.

    Args:
        folder: the model's.
        checkpoint: weights of which moment.
        autoencoder: the folder of `train-autoencoder`; read by the kinds that need it.

    Raises:
        UserError: the folder holds no image model, or one for another autoencoder.
    """
    card = read_card(folder, IMAGE_SETTINGS, "train the image model first")
    kind = IMAGE_KINDS[card.kind](card.settings, autoencoder)
    if kind.inputs() != card.inputs:
        raise UserError(
            f"{folder}: was trained on another autoencoder than {autoencoder} holds; train the "
            "image model again"
        )
    try:
        network = kind.network_type.from_pretrained(folder / checkpoint, local_files_only=True)
    except OSError as error:
        raise UserError(f"{folder / checkpoint}: cannot be loaded: {error}") from None
    return kind.painter(network.eval()), card


def check_prepared(
    card: ModelCard, model: Path, prepared: Path, pairs: Pairs, guidance: float
) -> None:
    """Compare a model with the set that it is to be used on; warns of guidance without training.

    Raises:
        UserError: other classes, or silhouettes that the set lacks.
    """
    if card.classes != read_classes(prepared):
        raise UserError(f"{model}: was trained for other classes than {prepared} has; train again")
    if card.with_object and pairs.objects is None:
        raise UserError(
            f"{prepared}: has no object silhouettes, but {model} was trained with them; set "
            "dataset.object.source, or condition.object to false and train again"
        )
    if guidance > 0 and card.settings.training.drop_rate == 0:
        print(
            f"warning: sampling.guidance is {guidance}, but {model} never saw the null "
            "condition (drop_rate 0); set guidance to 0 or image_dm.finetune.enabled to true"
        )
