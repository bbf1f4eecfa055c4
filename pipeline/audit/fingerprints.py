"""Fingerprints of photos: what is left of a photo without its light, its colours and what all show.

Two photos show the same thing if their fingerprints correlate at some shift or flip. Local contrast
normalisation (Jarrett et al. 2009) takes out exposure, gain and shading. Dividing the spectrum by
the set's mean power makes correlation the optimal detector against clutter that looks like the
set's other photos (the matched filter in coloured noise, Turin 1960): grain, stripes and outlines
that many photos share weigh little, scratches and spots that one thing has weigh much.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal.windows import tukey

# Chosen on the magnetic tiles and on planted copies (benchmarks/leakage.py): fewer pixels lose the
# skin of small objects, more make a shift by half a pixel or a slightly other crop matter.
SIDE = 48
NEIGHBOURHOOD = 0.05 * SIDE  # standard deviation in pixels of what a pixel is compared with
FLAT = 2.0  # grey levels: contrast below is noise and is not amplified
FADED = 0.3  # share of the side over which the borders fade, so that crops need not agree
FINEST = 0.33  # cycles a pixel; finer detail does not survive resampling
_TINY = 1e-12


@dataclass(frozen=True)
class Commonplace:
    """What the photos of a set have in common, and fingerprints leave out.

    Attributes:
        mean: float32 SIDE×SIDE, the mean of the normalised photos.
        gain: float32 SIDE×(SIDE/2+1), weight of each frequency of the real spectrum.
    """

    mean: np.ndarray
    gain: np.ndarray


def learn_commonplace(photos: np.ndarray) -> Commonplace:
    """What N photos, uint8 N×H×W×3, have in common.

    Photos that are to be compared must share it: learn it once, from real photos.
    """
    normalised = _normalise(photos)
    mean = normalised.mean(axis=0)
    power = (np.abs(np.fft.rfft2(_fade(normalised - mean))) ** 2).mean(axis=0)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    low_pass = np.exp(-((frequency / FINEST) ** 4)) * (frequency > 0)
    return Commonplace(mean, (low_pass / np.sqrt(power + _TINY)).astype(np.float32))


def fingerprints(photos: np.ndarray, common: Commonplace) -> np.ndarray:
    """Fingerprints float32 N×SIDE×SIDE, each of length 1, of photos uint8 N×H×W×3.

    A photo without any detail has a fingerprint of zeros, which correlates with nothing.
    """
    spectra = np.fft.rfft2(_fade(_normalise(photos) - common.mean)) * common.gain
    return _fade(np.fft.irfft2(spectra, s=(SIDE, SIDE)).astype(np.float32))


def _normalise(photos: np.ndarray) -> np.ndarray:
    """Grey thumbnails float32 N×SIDE×SIDE under local contrast normalisation, variance 1."""
    grey = np.empty((len(photos), SIDE, SIDE), np.float32)
    for index, photo in enumerate(photos):
        # the mean and not the luma: a photo with exchanged colours is the same photo
        whole = Image.fromarray(photo.mean(axis=2, dtype=np.float32))
        grey[index] = whole.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    detail = grey - _around(grey)
    detail /= np.sqrt(_around(detail**2)) + FLAT
    return detail / np.maximum(detail.std(axis=(1, 2), keepdims=True), _TINY)


def _around(grey: np.ndarray) -> np.ndarray:
    return gaussian_filter(grey, (0, NEIGHBOURHOOD, NEIGHBOURHOOD), mode="reflect")


def _fade(images: np.ndarray) -> np.ndarray:
    """Images N×SIDE×SIDE without their mean, fading towards the borders, each of length 1."""
    line = tukey(SIDE + 2, FADED, sym=True)[1:-1].astype(np.float32)
    window = line[:, None] * line
    mean = (images * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    faded = (images - mean) * window
    length = np.linalg.norm(faded, axis=(1, 2), keepdims=True)
    return np.where(length > _TINY, faded / np.maximum(length, _TINY), 0).astype(np.float32)
