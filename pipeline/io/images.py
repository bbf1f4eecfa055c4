"""Photos, label masks and silhouettes as PNG files of the prepared and synthetic sets.

A mask is a palette PNG whose index is the class: a label map to a program and a coloured picture
to a person. Paths may lead into shards (`pipeline.io.shards`).
"""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.io.atomic import write_bytes
from pipeline.io.errors import UserError
from pipeline.io.shards import read_bytes


def read_image(path: Path, sha256: str | None = None) -> np.ndarray:
    """A photo as uint8 H×W×3 (RGB).

    Args:
        path: of the file.
        sha256: what the manifest says of it; None = not compared.

    Raises:
        UserError: the file is missing, is no image, or was changed.
    """
    with _open(path, sha256) as image:
        return np.array(image.convert("RGB"))


def write_image(path: Path, image: np.ndarray) -> str:
    """Write a uint8 H×W×3 array as PNG; returns the file's SHA-256, as `sha256_of`."""
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, image.shape
    return _write_png(path, Image.fromarray(image))


def read_mask(path: Path, sha256: str | None = None) -> np.ndarray:
    """A label mask as uint8 H×W of class indices; `sha256` as in `read_image`.

    Raises:
        UserError: the file is missing, no image, neither a palette nor a grey PNG, or was changed.
    """
    with _open(path, sha256) as image:
        if image.mode not in ("P", "L"):
            raise UserError(f"{path}: mode {image.mode}, expected a palette PNG of class indices")
        return np.array(image)


def write_mask(path: Path, labels: np.ndarray, colours: list[tuple[int, int, int]]) -> str:
    """Write uint8 H×W class indices as a palette PNG, class *c* shown in `colours[c]`.

    Returns:
        The file's SHA-256, as `sha256_of`.
    """
    assert labels.dtype == np.uint8 and labels.ndim == 2, (labels.dtype, labels.shape)
    assert labels.max(initial=0) < len(colours), (labels.max(), len(colours))
    height, width = labels.shape
    image = Image.frombytes("P", (width, height), labels.tobytes())
    image.putpalette([channel for colour in colours for channel in colour])
    return _write_png(path, image)


def read_silhouette(path: Path) -> np.ndarray:
    """The object's silhouette as bool H×W (True on the object)."""
    with _open(path) as image:
        return np.array(image.convert("L")) > 127


def write_silhouette(path: Path, silhouette: np.ndarray) -> None:
    """Write a bool H×W array as grey PNG of 0 and 255."""
    assert silhouette.dtype == np.bool_ and silhouette.ndim == 2, silhouette.dtype
    _write_png(path, Image.fromarray(silhouette.astype(np.uint8) * 255))


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: Path, sha256: str | None = None) -> Image.Image:
    try:
        content = read_bytes(path)
        _check_hash(path, content, sha256)
        image = Image.open(io.BytesIO(content))
        image.load()
        return image
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f"{path}: cannot be read as an image: {error}") from None


def _check_hash(path: Path, content: bytes, expected: str | None) -> None:
    got = None if expected is None else hashlib.sha256(content).hexdigest()
    if got != expected:
        raise UserError(
            f"{path}: SHA-256 {got[:12]}…, the manifest says {expected[:12]}…; the file was "
            "changed after its stage wrote it: run that stage again"
        )


def _write_png(path: Path, image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=6)
    content = buffer.getvalue()
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()
