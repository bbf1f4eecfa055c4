"""Whether the file names say which photos belong together, where the user has not said it.

Different views of one object are not near-identical, and no threshold on pixels finds them. Their
names often start with the object's number, though. The first number that varies in the names is
proposed if photos that look alike in colour agree in it far more often than chance has it.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from scipy import stats

_TOKENS = re.compile(r"\d+|[^\W\d_]+|[\W_]+")
_SHADES = 12  # steps of each colour in a histogram
# Agreement must be that many times chance, and chance must be that unlikely.
_LIFT = 3.0
_SIGNIFICANCE = 1e-6
# A number that near-identical photos do not share (an exposure, a frame) names no object.
_CONSENT = 0.9


@dataclass(frozen=True)
class NameHint:
    """A number in the file names that seems to say what was photographed.

    Attributes:
        pattern: for `split.group_pattern`.
        groups: how many groups it gives.
        agreement: share of photos whose most alike photo, by colours, has the same number.
        chance: the same share for photos paired at random.
    """

    pattern: str
    groups: int
    agreement: float
    chance: float


def read_names(sources: list[str]) -> tuple[str, list[str]] | None:
    """The first varying number of the file names: its pattern, and its value in each name.

    None where the names differ elsewhere before, or where each has a number of its own.
    """
    names = [_TOKENS.findall(PurePosixPath(source).stem) for source in sources]
    for position in range(min(map(len, names), default=0)):
        values = [tokens[position] for tokens in names]
        if len(set(values)) == 1:
            continue
        if not all(value.isdecimal() for value in values) or len(set(values)) == len(set(sources)):
            return None
        return f"^{re.escape(''.join(names[0][:position]))}(\\d+)", values
    return None


def find_name_hint(photos: np.ndarray, sources: list[str], pairs: pd.DataFrame) -> NameHint | None:
    """What the names seem to say; None = nothing that the photos bear out.

    Args:
        photos: uint8 N×H×W×3.
        sources: file of each photo.
        pairs: near-identical pairs (`first_source`, `second_source`); they must agree in it.
    """
    read = read_names(sources)
    if read is None:
        return None
    pattern, values = read
    number = dict(zip(sources, values, strict=True))
    agree = pairs["first_source"].map(number) == pairs["second_source"].map(number)
    if len(pairs) and agree.mean() < _CONSENT:
        return None
    codes, names = pd.factorize(np.array(values, object))
    counts = np.bincount(codes)
    chance = float((counts * (counts - 1)).sum() / (len(codes) * (len(codes) - 1)))
    agreed = codes[_most_alike(photos, sources)] == codes
    test = stats.binomtest(int(agreed.sum()), len(agreed), chance, alternative="greater")
    if agreed.mean() < _LIFT * chance or test.pvalue > _SIGNIFICANCE:
        return None
    return NameHint(pattern, len(names), float(agreed.mean()), chance)


def _most_alike(photos: np.ndarray, sources: list[str]) -> np.ndarray:
    """Index of the photo of another file with the nearest colours (Bhattacharyya), N."""
    codes = (photos.astype(np.uint16) * _SHADES // 256) @ np.array([_SHADES**2, _SHADES, 1])
    histograms = np.stack([np.bincount(c.ravel(), minlength=_SHADES**3) for c in codes])
    roots = np.sqrt(histograms / histograms.sum(axis=1, keepdims=True)).astype(np.float32)
    overlap = roots @ roots.T
    files, _ = pd.factorize(np.array(sources, object))
    overlap[files[:, None] == files] = -1
    return overlap.argmax(axis=1)
