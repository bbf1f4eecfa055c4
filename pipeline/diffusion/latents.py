"""What models on latents share: how many versions of each pair are encoded, and what is refused."""

from pydantic import Field, model_validator

from pipeline.data.augmentation import GeometricSettings
from pipeline.diffusion.schedules import DiffusionSettings
from pipeline.diffusion.training_settings import TrainingSettings
from pipeline.io.params import Settings


class LatentSettings(Settings):
    """What is encoded before the training."""

    copies: int = Field(1, ge=1)  # versions of each pair; all but one augmented


class LatentModelSettings(Settings):
    """Part of the settings of a model on latents."""

    latents: LatentSettings
    diffusion: DiffusionSettings
    training: TrainingSettings

    @model_validator(mode="after")
    def _suits_latents(self) -> "LatentModelSettings":
        if self.diffusion.loss == "hybrid":
            raise ValueError(
                "diffusion.loss mse or l1: hybrid's likelihood is that of pixels, not of latents"
            )
        if self.latents.copies == 1 and self.training.augment != GeometricSettings():
            raise ValueError(
                "latents.copies above 1 with training.augment: copies are what is augmented; or "
                "leave training.augment without any change"
            )
        return self
