"""Training the super-resolution model on a prepared set, from its folder to the model's folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.data.augmentation import GeometricSettings
from pipeline.data.pairs import Pairs
from pipeline.data.reduction import check_divisible, reduce_labels, reduce_photos
from pipeline.data.split_pairs import read_pairs
from pipeline.diffusion.examples import AugmentedPairs, Clean
from pipeline.diffusion.extras import Extras
from pipeline.diffusion.model_folder import ModelCard, write_model_folder
from pipeline.diffusion.painting import to_pixels
from pipeline.diffusion.pair_examples import PairLayout
from pipeline.diffusion.pair_kind import pair_layout
from pipeline.diffusion.previews import PreviewSettings, painted_masks, silhouettes_of
from pipeline.diffusion.sampling import SamplerSettings
from pipeline.diffusion.superres import (
    FACTOR,
    KIND,
    SuperresPainter,
    SuperresSettings,
    nearest_twice,
    new_network,
    noisy_condition,
)
from pipeline.diffusion.training import Trainer
from pipeline.io.atomic import output_folder
from pipeline.io.images import sha256_of
from pipeline.io.manifests import MANIFEST, read_classes
from pipeline.io.seeding import derive_seed, numpy_rng, torch_generator
from pipeline.io.store import open_store
from pipeline.models.conditioning import ConditionSettings
from pipeline.training.grids import spread, tile


@dataclass(frozen=True)
class SuperresExamples(AugmentedPairs):
    """Pairs with themselves at half the size, noise added, as the condition."""

    layout: PairLayout
    condition_noise: float  # largest deviation

    def clean(self, images, masks, objects) -> Clean:
        """See AugmentedPairs; the condition, photo and code, has no noise yet."""
        x0, defects = self.layout.encode(images, masks, objects)
        small, _ = self.layout.encode(
            reduce_photos(np.stack(images), FACTOR),
            reduce_labels(np.stack(masks), FACTOR),
            [None if item is None else reduce_labels(item, FACTOR) for item in objects],
        )
        return Clean(x0, small, defects)

    def augmented(self, step: int, places: Sequence[int], indices: Sequence[int]) -> Clean:
        """See Examples."""
        clean = super().augmented(step, places, indices)
        levels = [
            numpy_rng(self.seed, "condition level", step, place).uniform(0, self.condition_noise)
            for place in places
        ]
        noise = [torch_generator(self.seed, "condition", step, place) for place in places]
        return clean._replace(
            condition=noisy_condition(clean.condition, torch.tensor(levels), noise)
        )

    def plain(self, part: slice) -> Clean:
        """See Examples; the condition as it is."""
        clean = super().plain(part)
        noise = [torch.Generator() for _ in clean.condition]
        none = torch.zeros(len(clean.condition))
        return clean._replace(condition=noisy_condition(clean.condition, none, noise))


def train_superres(
    stage: str,
    prepared: Path,
    out: Path,
    settings: SuperresSettings,
    condition: ConditionSettings,
    seed: int,
) -> None:
    """Train the model and write its folder; resumes where an earlier process was killed.

    Args:
        stage: name of the stage, for its store.
        prepared: the prepared set; only its training and validation pairs are read.
        out: the model's folder, replaced whole at the end.
        settings: of the model.
        condition: tells whether pairs have silhouettes.
        seed: the pipeline's.

    Raises:
        UserError: data or parameters that do not fit.
    """
    classes = read_classes(prepared)
    train, val = (read_pairs(prepared, split, condition.object) for split in ("train", "val"))
    height, width = train.masks.shape[1:]
    check_divisible(height, width, FACTOR)
    layout = pair_layout(settings.code, len(classes), condition.object)
    torch.manual_seed(derive_seed(seed, "initial weights"))
    network = new_network(settings, layout, (height, width))
    own_seed = derive_seed(seed, stage)
    augment, unmoved = settings.training.augment, GeometricSettings()
    painter = SuperresPainter(network, settings.diffusion, layout)
    colours = [item.colour for item in classes]
    preview = SuperresPreview(val or train, colours, settings.training.preview, own_seed, painter)
    card = ModelCard(KIND, settings, {}, classes, condition.object, height, width, seed)
    key: dict[str, Any] = {
        "prepared": sha256_of(prepared / MANIFEST),
        "card": card.to_json(),
    }
    with open_store(stage, key) as store:
        trainer = Trainer(
            network,
            SuperresExamples(train, augment, own_seed, layout, settings.condition_noise),
            None if val is None else SuperresExamples(val, unmoved, own_seed, layout, 0.0),
            settings.diffusion,
            settings.training,
            own_seed,
            store.path,
            Extras(
                draw_grid=preview.grid,
                channel_weights=settings.channel_weights(layout.code.channels),
            ),
        )
        state = trainer.run()
        if not trainer.accelerator.is_main_process:
            return
        with output_folder(out) as folder:
            write_model_folder(
                folder, network, state, card, settings.training, store.path, preview.grid
            )
        store.finish()
    # Printed and not written: equal trainings give equal files.
    print(f"{stage}: {state.record.steps_done} steps in {state.record.seconds:.0f} s")


@dataclass(frozen=True)
class SuperresPreview:
    """Sample grids: small pairs, what is drawn for them, and the real pairs at full size."""

    pairs: Pairs
    colours: list[tuple[int, int, int]]
    settings: PreviewSettings
    seed: int
    painter: SuperresPainter

    def grid(self) -> np.ndarray:
        """As uint8 H×W×3."""
        chosen = spread(len(self.pairs), self.settings.count)
        objects = silhouettes_of(self.pairs, chosen)
        images, masks = self.pairs.images[chosen], self.pairs.masks[chosen]
        small = reduce_photos(images, FACTOR), reduce_labels(masks, FACTOR)
        outlines = [None if o is None else reduce_labels(o, FACTOR) for o in objects]
        layout = self.painter.layout
        x, _ = layout.encode(*small, outlines)
        noise = [torch_generator(self.seed, "preview", i) for i in range(len(chosen))]
        sampler = SamplerSettings(steps=self.settings.steps)
        drawn = self.painter.paint(x, noise, sampler, condition_noise=0.0)
        drawn_masks, drawn_objects = layout.split(drawn.labels)
        drawn_outlines = [None] * len(chosen) if drawn_objects is None else list(drawn_objects)
        enlarged = [None if o is None else nearest_twice(o) for o in outlines]
        return tile(
            [
                ("small", small[0].repeat(FACTOR, axis=1).repeat(FACTOR, axis=2)),
                ("drawn", to_pixels(drawn.photos)),
                ("real", images),
                ("small", painted_masks(nearest_twice(small[1]), enlarged, self.colours)),
                ("drawn", painted_masks(drawn_masks, drawn_outlines, self.colours)),
                ("real", painted_masks(masks, objects, self.colours)),
            ]
        )
