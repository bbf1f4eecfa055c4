"""Stage finetune-segmenters: the trained segmenters on photos of another domain.

Measured as they are and after finetuning on a few real pairs of that domain, beside segmenters
that saw those pairs alone.
"""

from itertools import chain
from pathlib import Path

from pipeline.io.atomic import output_folder
from pipeline.io.errors import run
from pipeline.io.params import read_params, section
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
    from pipeline.io.manifests import read_classes, read_test
    from pipeline.io.store import open_store
    from pipeline.segmentation import finetuning
    from pipeline.segmentation.external import ExternalRun, describe

    plan, classes = finetuning.read_plan(params), read_classes(EXTERNAL)
    weights = finetuning.find_weights(SEGMENTERS, plan, classes)
    with open_store(finetuning.WHAT, finetuning.inputs(plan, EXTERNAL)) as store:
        with output_folder(OUT) as folder:
            external_run = ExternalRun(folder)
            data = finetuning.finetuning_data(EXTERNAL, plan)
            if data is not None:
                of_mixes = finetuning.finetune(weights, plan, data, store.path)
                for start, trained in chain(
                    of_mixes, finetuning.train_alone(plan, data, store.path)
                ):
                    external_run.add(start, trained)
            table = external_run.measure(weights, read_test(EXTERNAL), EXTERNAL, classes)
            external_run.write(table, plan.finetuning, data, classes)
        store.finish()
    print(describe(table))


if __name__ == "__main__":
    run(main, lower="external.finetuning.training.batch_size")
