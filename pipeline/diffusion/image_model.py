"""A trained image model, read from its folder: what `train-image-dm` writes and `sample` uses."""

from pathlib import Path

from pipeline.data.pairs import Pairs
from pipeline.diffusion.image_kinds import IMAGE_KINDS, IMAGE_SETTINGS
from pipeline.diffusion.model_folder import ModelCard, load_network, read_card
from pipeline.diffusion.painting import Painter
from pipeline.diffusion.sampling import Checkpoint
from pipeline.io.errors import UserError
from pipeline.io.manifests import read_classes


def load_image_model(
    folder: Path, checkpoint: Checkpoint, autoencoder: Path
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
    network = load_network(kind.network_type, folder, checkpoint)
    return kind.painter(network, len(card.classes), card.with_object), card


def check_prepared(card: ModelCard, model: Path, prepared: Path, pairs: Pairs) -> int:
    """Compare a model with the set that it is to be used on.

    Returns:
        How many times as large as the model's photos those of the set are.

    Raises:
        UserError: other classes, silhouettes that the set lacks, or another size.
    """
    if card.classes != read_classes(prepared):
        raise UserError(f"{model}: was trained for other classes than {prepared} has; train again")
    if card.with_object and pairs.objects is None:
        raise UserError(
            f"{prepared}: has no object silhouettes, but {model} was trained with them; set "
            "dataset.object.source, or condition.object to false and train again"
        )
    height, width = pairs.masks.shape[1:]
    reduction = height // card.height
    if (card.height * reduction, card.width * reduction) != (height, width):
        raise UserError(
            f"{model}: draws {card.height}×{card.width} pixels, which does not fit {prepared} "
            f"with {height}×{width}; train again"
        )
    return reduction


def applied_guidance(card: ModelCard, painter: Painter, guidance: float) -> float:
    """The guidance that a model can follow; says so where it is not the one asked for."""
    if guidance > 0 and not painter.is_conditioned:
        print(f"sampling.guidance: {guidance} is not used, {card.kind} has nothing to be guided by")
        return 0.0
    if guidance > 0 and card.settings.training.drop_rate == 0:
        print(
            f"warning: sampling.guidance is {guidance}, but the model never saw the null "
            "condition (drop_rate 0); set guidance to 0 or image_dm.finetune.enabled to true"
        )
    return guidance
