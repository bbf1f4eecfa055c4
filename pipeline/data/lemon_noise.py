"""Noise that is fixed on a fruit: evaluated at directions on the unit sphere, so views agree.

Value noise (random numbers on a cubic lattice, interpolated in between) in three dimensions has
neither seam nor pole, unlike a texture in longitude and latitude.
"""

import numpy as np
from scipy import ndimage

LATTICE_SIZE = 48


class SurfaceNoise:
    """Random smooth functions on the unit sphere, one for each `layer`."""

    def __init__(self, rng: np.random.Generator) -> None:
        shape = (LATTICE_SIZE, LATTICE_SIZE, LATTICE_SIZE)
        self._lattice = rng.random(shape, dtype=np.float32)

    def at(self, directions: np.ndarray, frequency: float, layer: int = 0) -> np.ndarray:
        """Noise in [0, 1] at float32 3×N `directions`; `frequency` = lattice cells per unit."""
        shift = np.float32(layer) * np.array([[7.31], [13.77], [3.59]], dtype=np.float32)
        places = directions * np.float32(frequency) + shift
        return ndimage.map_coordinates(self._lattice, places, order=1, mode="grid-wrap")

    def ridges(self, directions: np.ndarray, frequency: float, layer: int = 0) -> np.ndarray:
        """A net of thin lines: 1 on the lines where the noise is a half, falling to 0."""
        return 1 - np.abs(2 * self.at(directions, frequency, layer) - 1)

    def octaves(self, directions: np.ndarray, frequency: float, layer: int = 0) -> np.ndarray:
        """Three octaves of noise, each twice as fine and half as strong, in [0, 1]."""
        parts = [
            self.at(directions, frequency * 2**octave, layer + octave) / 2**octave
            for octave in range(3)
        ]
        return sum(parts) / np.float32(1.75)
