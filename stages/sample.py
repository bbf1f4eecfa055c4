"""Stage sample: synthetic pairs, drawn for the masks of a source or together with their masks."""

from dataclasses import replace
from pathlib import Path

from pipeline.data.pairs import load_pairs
from pipeline.data.set_layouts import LAYOUTS
from pipeline.diffusion.batch_size import choose_batch_size
from pipeline.diffusion.sample_set import drawn_store, write_set
from pipeline.diffusion.sampling import SamplingSettings
from pipeline.io.errors import run
from pipeline.io.launch import use_all_gpus
from pipeline.io.manifests import read_split
from pipeline.io.params import read_params, section, value
from pipeline.masks.sources import MaskSettings
from pipeline.synthesis.plans import enlarge, find_folders, make_plan

PREPARED, MODELS, OUT = Path("data/prepared"), Path("data/models"), Path("data/synthetic")


def main() -> None:
    """Draw `sampling.count` pairs with the finetuned model if there is one."""
    params = read_params()
    settings, seed = section(SamplingSettings, "sampling", params), value("seed", params)
    masks = section(MaskSettings, "masks", params)
    use_all_gpus("stages.sample")
    folders = find_folders(PREPARED, MODELS)
    train = load_pairs(PREPARED, read_split(PREPARED, "train"))
    plan = make_plan(folders, settings, masks, train, seed)
    batch_size = choose_batch_size(settings.batch_size, plan.draw)
    job = plan.job(settings, batch_size, seed)
    key = plan.key | {"seed": seed, "batch_size": batch_size, "card": plan.card.to_json()}
    layout = LAYOUTS[settings.output](settings.shard_size)
    with drawn_store(job, key) as small:
        if plan.reduction == 1:
            write_set(job, small, OUT, plan.drawn_by, layout)
            return
        to_size = enlarge(folders.superres, settings, plan.card, small, seed)
        large = replace(job, draw=to_size.draw, batch_size=settings.superres.batch_size)
        with drawn_store(large, key | to_size.key, "sample-enlarged") as store:
            write_set(large, store, OUT, plan.drawn_by | to_size.drawn_by, layout)


if __name__ == "__main__":
    run(main, lower="sampling.batch_size or masks.diffusion.batch_size")
