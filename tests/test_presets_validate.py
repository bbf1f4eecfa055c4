"""Every preset satisfies the settings of every stage, and its network can be built."""

from pathlib import Path

import pytest
import torch

from pipeline.autoencoding.settings import AutoencoderSettings, MaskAutoencoderSettings
from pipeline.data.fitting import ImageSettings
from pipeline.diffusion.image_kinds import SdmSettings
from pipeline.diffusion.pair_kind import PairSettings
from pipeline.diffusion.superres import SuperresSettings
from pipeline.io.params import read_params, section
from pipeline.io.presets import compose, write_params
from pipeline.models.autoencoder import build_autoencoder
from pipeline.models.concat_unet import ConcatNetworkSettings, build_concat_unet
from pipeline.models.pair_unet import build_pair_unet
from pipeline.models.spade_unet import build_network
from pipeline.models.superres_unet import build_superres_unet
from pipeline.models.timed_discriminator import build_timed_discriminator
from pipeline.parameters.together import check_parameters

PRESETS = Path(__file__).resolve().parents[1] / "presets"


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_a_preset_is_valid(name, tmp_path):
    write_params(compose(name, PRESETS), tmp_path / "params.yaml")
    params = read_params(tmp_path / "params.yaml")
    check_parameters(params)
    image = section(ImageSettings, "image", params)
    size = (image.height, image.width)
    autoencoder = section(AutoencoderSettings, "autoencoder", params).network
    mask_autoencoder = section(MaskAutoencoderSettings, "mask_autoencoder", params).network
    networks = {
        key: section(ConcatNetworkSettings, f"{key}.network", params)
        for key in ("image_dm.ldm", "mask_dm.latent", "mask_dm.pixel")
    }
    sdm = section(SdmSettings, "image_dm.sdm", params)
    with torch.device("meta"):
        build_network(sdm.network, 2, sdm.diffusion.output_groups, size)
        for key, codec in (("image_dm.ldm", autoencoder), ("mask_dm.latent", mask_autoencoder)):
            build_autoencoder(codec, 3)
            factor = 2 ** (len(codec.multipliers) - 1)
            small = tuple(side // factor for side in size)
            build_concat_unet(networks[key], codec.latent_channels, small, 0)
        build_concat_unet(networks["mask_dm.pixel"], 1, size, 0)
        pair = section(PairSettings, "image_dm.pair", params)
        drawn = tuple(side // params["image_dm"]["reduction"] for side in size)
        build_pair_unet(pair.network, 2, drawn)
        build_timed_discriminator(pair.discriminator.network, 5, drawn)
        build_superres_unet(section(SuperresSettings, "superres", params).network, 5, 6, size)
