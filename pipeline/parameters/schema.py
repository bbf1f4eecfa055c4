"""The whole of params.yaml as one settings class, made of those that each part has for its section.

The stages read their own sections; here all are checked at once, those of the kinds that are not
chosen too, so that a slip of the pen is found before anything runs and not after a night.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from pipeline.audit.settings import AuditSettings
from pipeline.autoencoding.settings import AutoencoderSettings, MaskAutoencoderSettings
from pipeline.copy_paste.between_photos import PastingSettings
from pipeline.copy_paste.settings import CopyPasteSettings
from pipeline.data.augmentation import AugmentationSettings
from pipeline.data.fitting import ImageSettings
from pipeline.data.mix_settings import MixSettings
from pipeline.data.readers import DatasetSettings
from pipeline.data.splits import ExternalSplitSettings, SplitSettings
from pipeline.data.subsets import SubsetSettings
from pipeline.diffusion.finetuning_settings import FinetuneSettings
from pipeline.diffusion.image_kinds import LdmSettings, SdmSettings
from pipeline.diffusion.mask_kinds import LatentMaskSettings, PixelMaskSettings
from pipeline.diffusion.mask_model import MaskSamplingSettings
from pipeline.diffusion.pair_kind import PairSettings
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.diffusion.superres import SuperresSettings
from pipeline.generation_quality.settings import QualitySettings
from pipeline.io.params import Settings, parse
from pipeline.masks.generated import GeneratedMaskSettings
from pipeline.masks.sources import MaskSettings
from pipeline.models.conditioning import ConditionSettings
from pipeline.models.segmenters import Architecture, NetworkSettings
from pipeline.reporting.settings import ReportSettings
from pipeline.segmentation.external_settings import ExternalSettings
from pipeline.segmentation.filtering import FilterSettings
from pipeline.segmentation.finetuning import FinetuningSettings
from pipeline.segmentation.training import RepeatedTrainingSettings, TrainingSettings

# A mix's name is a folder's, and a word of the command that DVC gives to a shell.
MixName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.=+-]*$")]


class GeneratedMasks(GeneratedMaskSettings):
    """Section `masks.diffusion`."""

    sampling: MaskSamplingSettings


class Masks(MaskSettings):
    """Section `masks`."""

    diffusion: GeneratedMasks


class MaskModels(Settings):
    """Section `mask_dm`."""

    kind: Literal["latent", "pixel"]
    check_count: int = Field(ge=1)
    latent: LatentMaskSettings
    pixel: PixelMaskSettings


class ImageModels(Settings):
    """Section `image_dm`."""

    kind: Literal["sdm", "ldm", "pair", "copy_paste"]
    reduction: Literal[1, 2]
    sdm: SdmSettings
    ldm: LdmSettings
    pair: PairSettings
    copy_paste: CopyPasteSettings
    finetune: FinetuneSettings

    @property
    def chosen(self) -> SdmSettings | LdmSettings | PairSettings | None:
        """The diffusion model that will be trained; None = there is none."""
        return None if self.kind == "copy_paste" else getattr(self, self.kind)


class Filter(FilterSettings):
    """Section `filter`."""

    network: NetworkSettings
    training: TrainingSettings


class Segmenters(Settings):
    """Section `segmenters`."""

    architectures: list[Architecture] = Field(min_length=1)
    baseline: str
    network: NetworkSettings
    training: RepeatedTrainingSettings
    augmentation: AugmentationSettings
    pasting: PastingSettings
    mixes: dict[MixName, MixSettings] = Field(min_length=1)

    @field_validator("architectures")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            raise ValueError("each architecture once")
        return names


class External(ExternalSettings):
    """Section `external`."""

    dataset: DatasetSettings
    split: ExternalSplitSettings
    finetuning: FinetuningSettings


class Parameters(Settings):
    """The whole file."""

    seed: int = Field(ge=0)
    dataset: DatasetSettings
    subset: str
    subsets: dict[str, SubsetSettings] = Field(min_length=1)
    image: ImageSettings
    split: SplitSettings
    audit: AuditSettings
    masks: Masks
    condition: ConditionSettings
    mask_dm: MaskModels
    autoencoder: AutoencoderSettings
    mask_autoencoder: MaskAutoencoderSettings
    image_dm: ImageModels
    superres: SuperresSettings
    sampling: SamplingSettings
    filter: Filter
    evaluate_samples: QualitySettings
    segmenters: Segmenters
    external: External
    report: ReportSettings


def parse_parameters(content: dict[str, Any]) -> Parameters:
    """Check every parameter by itself.

    Raises:
        UserError: all that are wrong, missing or unknown, one line each.
    """
    return parse(Parameters, "", content)
