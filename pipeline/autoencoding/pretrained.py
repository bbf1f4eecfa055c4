"""Autoencoders trained elsewhere: a local folder in diffusers' layout, or a repository of the hub.

A hub that cannot be reached is found out by one request, not after retries.
"""

from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError

from pipeline.io.errors import UserError
from pipeline.models.autoencoder import NETWORKS, Autoencoder, Network, read_unshuffle

HUB_TIMEOUT_S = 5.0
CLASSES = {type_.__name__: type_ for type_ in NETWORKS.values()}


def load_pretrained(name: str, channels: int, section: str) -> Autoencoder:
    """A trained autoencoder, on the CPU.

    Args:
        name: an existing folder, of diffusers or of this pipeline, or `owner/name[/subfolder]` of
            the hub; what is in the hub's local cache needs no network.
        channels: that its inputs must have.
        section: of the parameters, for messages.

    Raises:
        UserError: it cannot be had or is not for such inputs, with the ways out.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        network = _load(str(folder), None, local_files_only=True, section=section)
        autoencoder = Autoencoder(network, read_unshuffle(folder))
    else:
        autoencoder = Autoencoder(_from_hub(name, section))
    if autoencoder.channels != channels:
        raise UserError(
            f"{section}.pretrained: {name} takes {autoencoder.channels} channels, expected "
            f"{channels}; choose another, or null to train a new one"
        )
    return autoencoder


def _from_hub(name: str, section: str) -> Network:
    owner, _, rest = name.partition("/")
    repository, _, subfolder = rest.partition("/")
    if not owner or not repository or owner.startswith((".", "~")):
        raise UserError(
            f"{section}.pretrained: got {name!r}, expected a folder that exists, owner/name of the "
            "hub, or null"
        )
    source = (f"{owner}/{repository}", subfolder or None)
    try:
        return _load(*source, local_files_only=True, section=section)
    except UserError:
        _check_hub(source[0], section)  # not in the cache
    return _load(*source, local_files_only=False, section=section)


def _check_hub(repository: str, section: str) -> None:
    """One request, that fails at once where there is no network."""
    ways_out = (
        f"set {section}.pretrained to the path of a folder with config.json and weights, or to "
        "null to train a new one"
    )
    try:
        HfApi(endpoint=constants.ENDPOINT).model_info(repository, timeout=HUB_TIMEOUT_S)
    except RepositoryNotFoundError:
        raise UserError(
            f"{section}.pretrained: there is no folder and no repository {repository}; {ways_out}"
        ) from None
    except Exception as error:  # of whichever HTTP library the hub's client uses
        raise UserError(
            f"{section}.pretrained: {repository} is neither a folder nor in the local cache, and "
            f"{constants.ENDPOINT} cannot be reached ({type(error).__name__}); {ways_out}"
        ) from None


def _load(source: str, subfolder: str | None, local_files_only: bool, section: str) -> Network:
    options = {"subfolder": subfolder, "local_files_only": local_files_only}
    try:
        name = CLASSES["VQModel"].load_config(source, **options).get("_class_name")
        if name in CLASSES:
            # A pickled .bin is not read; save_pretrained of diffusers writes .safetensors.
            return CLASSES[name].from_pretrained(source, use_safetensors=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(f"{section}.pretrained: {source} cannot be loaded: {error}") from None
    raise UserError(
        f"{section}.pretrained: {source} is a {name}, expected one of {', '.join(CLASSES)}; "
        "a pipeline's autoencoder lies in a subfolder: owner/name/vqvae, owner/name/vae"
    )
