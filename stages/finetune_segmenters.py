"""Stage finetune-segmenters: the trained segmenters on photos of another domain.

Measured as they are and after finetuning on a few real pairs of that domain.
"""

from pathlib import Path

from pipeline.io.atomic import output_folder
from pipeline.io.errors import run
from pipeline.io.params import read_params, section, value
from pipeline.io.unused import write_unused
from pipeline.segmentation.external_settings import ExternalSettings

EXTERNAL, SEGMENTERS = Path("data/external"), Path("data/models/segmenters")
OUT = Path("data/models/segmenters_finetuned")


def main() -> None:
    """Write that it is not used; or finetune, then read the test pairs and count."""
    params = read_params()
    if not section(ExternalSettings, "external", params).enabled:
        write_unused("finetune-segmenters", OUT, "external.enabled is false")
        return
    # imported here: an unused stage must not wait for torch
    from pipeline.data.augmentation import AugmentationSettings
    from pipeline.io.manifests import read_classes, read_test
    from pipeline.io.store import open_store
    from pipeline.segmentation import finetuning
    from pipeline.segmentation.external import ExternalRun, describe

    settings = section(finetuning.FinetuningSettings, "external.finetuning", params)
    augmentation = section(AugmentationSettings, "segmenters.augmentation", params)
    augmentation = augmentation if settings.augment else None
    seed, classes = value("seed", params), read_classes(EXTERNAL)
    runs = [list(value(f"segmenters.{name}", params)) for name in ("architectures", "mixes")]
    seeds = value("segmenters.training.seeds", params)
    weights = finetuning.find_weights(SEGMENTERS, *runs, seeds, classes)
    key = finetuning.inputs(settings, augmentation, seed, EXTERNAL)
    with open_store(finetuning.WHAT, key) as store:
        with output_folder(OUT) as folder:
            external_run = ExternalRun(folder)
            data = finetuning.finetuning_data(EXTERNAL, settings, augmentation, seed)
            if data is not None:
                for start, trained in finetuning.finetune(
                    weights, settings.training, data, seed, store.path
                ):
                    external_run.add(start, trained)
            table = external_run.measure(weights, read_test(EXTERNAL), EXTERNAL, classes)
            external_run.write(table, settings, data, classes)
        store.clear()
    print(describe(table))


if __name__ == "__main__":
    run(main, lower="external.finetuning.training.batch_size")
