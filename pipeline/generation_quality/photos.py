"""What is kept of a set of photos: features and colours, so that no photo is looked at twice."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.pairs import load_pairs
from pipeline.evaluation.colour_divergence import CHANNELS, colour_histograms
from pipeline.io.progress import progress
from pipeline.io.seeding import numpy_rng
from pipeline.models.photo_features import FEATURES, PhotoFeatures, photo_features

AT_ONCE = 64  # photos in memory


@dataclass(frozen=True)
class Photos:
    """N photos of one size: their features and the shares of their pixels in bins of colour."""

    features: np.ndarray  # float32 N×FEATURES
    colours: np.ndarray  # float64 N×3×bins

    def __len__(self) -> int:
        return len(self.features)

    def take(self, places: np.ndarray) -> "Photos":
        """The photos at these places."""
        return Photos(self.features[places], self.colours[places])


def look_at(
    folder: Path, frame: pd.DataFrame, network: PhotoFeatures, bins: int, what: str
) -> Photos:
    """Features and colours of the photos that `frame` lists, possibly none.

    Args:
        folder: what the paths in `frame` are relative to.
        frame: rows of the set's manifest.
        network: gives the features, on its device.
        bins: of each channel.
        what: a name of the photos for the progress bar.

    Raises:
        UserError: files that are missing, unreadable or changed.
    """
    features = [np.empty((0, FEATURES), np.float32)]
    colours = [np.empty((0, CHANNELS, bins))]
    with progress(len(frame), f"evaluate-samples: {what}") as bar:
        for first in range(0, len(frame), AT_ONCE):
            images = load_pairs(folder, frame[first : first + AT_ONCE], verify=True).images
            features.append(photo_features(network, images))
            colours.append(np.stack([colour_histograms(image[None], bins) for image in images]))
            bar.update(len(images))
    return Photos(np.concatenate(features), np.concatenate(colours))


def halves(frame: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of two halves of the photos that share no group.

    As photos of one group are nearly alike, halves that share groups would be nearer to each other
    than any synthetic set can be. Groups are put in random order and cut where the first part
    comes nearest to half of the photos.

    Args:
        frame: rows of the prepared set's manifest; a photo without `group` is one of its own.
        seed: the project's.

    Returns:
        Two int arrays; one of them is empty where all photos are of one group.
    """
    groups = frame["group"].astype(object).where(frame["group"].notna(), frame["id"])
    names, member = np.unique(groups.astype(str), return_inverse=True)
    turn = numpy_rng(seed, "halves of the training photos").permutation(len(names))
    sizes = np.bincount(member, minlength=len(names))
    filled = np.concatenate([[0], np.cumsum(sizes[turn])])
    cut = np.abs(filled - len(frame) / 2).argmin()
    first = np.isin(member, turn[:cut])
    return np.flatnonzero(first), np.flatnonzero(~first)
