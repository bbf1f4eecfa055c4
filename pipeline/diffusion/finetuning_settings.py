"""Finetuning with dropped conditions: section `image_dm.finetune`.

The thesis calls it finetuning (section 6.2): the trained model learns the null condition, which
guidance needs. Weights, EMA and the optimiser's state carry on.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.io.params import Settings

if TYPE_CHECKING:
    from pipeline.diffusion.training_settings import TrainingSettings


class FinetuneSettings(Settings):
    """How the trained model is trained on."""

    enabled: bool = False
    drop_rate: float = Field(0.2, ge=0, le=1)
    learning_rate: float = Field(2e-5, gt=0)
    max_steps: int = Field(10000, ge=1)

    def applied_to(self, training: "TrainingSettings") -> "TrainingSettings":
        """The settings of the finetuning; what is not named here stays as in the training."""
        return training.model_copy(
            update={
                "drop_rate": self.drop_rate,
                "learning_rate": self.learning_rate,
                "max_steps": self.max_steps,
                "max_epochs": None,
                "warmup_steps": 0,
                "decay": "none",
            }
        )
