"""Stage train-mask-autoencoder: the autoencoder of masks, for the latent mask model."""

from pathlib import Path

from pipeline.io.atomic import output_folder, write_json
from pipeline.io.errors import run
from pipeline.io.params import read_params, section, value

PREPARED = Path("data/prepared")
OUT = Path("data/models/mask_autoencoder")


def main() -> None:
    """Write that it is not used, or train."""
    params = read_params()
    source, kind = value("masks.source", params), value("mask_dm.kind", params)
    if source != "diffusion" or kind != "latent":
        no_draw = f"masks.source is {source}"
        reason = no_draw if source != "diffusion" else f"mask_dm.kind is {kind}"
        with output_folder(OUT) as folder:
            write_json(folder / "unused.json", {"used": False, "reason": reason})
        print(f"train-mask-autoencoder: not used, {reason}")
        return
    # imported here: an unused stage must not wait for torch
    from pipeline.autoencoding.masks import train_mask_autoencoder
    from pipeline.autoencoding.settings import MaskAutoencoderSettings
    from pipeline.models.conditioning import ConditionSettings

    settings = section(MaskAutoencoderSettings, "mask_autoencoder", params)
    condition = section(ConditionSettings, "condition", params)
    train_mask_autoencoder(PREPARED, OUT, settings, condition.object, value("seed", params))


if __name__ == "__main__":
    run(main)
