"""Photos of known kinship: unrelated textures, and other photos of the same texture."""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter


def scenes(total: int, seed: int = 0, side: int = 64) -> np.ndarray:
    """Unrelated photos uint8 N×side×side×3: blobs of all sizes under a light of their own."""
    noise = np.random.default_rng(seed).normal(size=(total, side, side))
    texture = sum(gaussian_filter(noise, (0, s, s)) * s for s in (1.5, 3, 6))
    light = np.linspace(0.7, 1.3, side)[None, :, None]
    grey = (110 + 60 * texture / texture.std(axis=(1, 2), keepdims=True)) * light
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=3)


def again(photo: np.ndarray) -> np.ndarray:
    """The same scene flipped, shifted by 3 pixels and under another light and colour."""
    moved = np.roll(photo[:, ::-1], (3, -2), axis=(0, 1)) / 255.0
    return (255 * moved**1.4 * np.array([0.9, 0.7, 0.5])).astype(np.uint8)


def manifest(splits: list[str], groups: list[str] | None = None) -> pd.DataFrame:
    """Rows of a prepared set: photo i comes from photos/i.jpg."""
    sources = [f"photos/{index:02d}.jpg" for index in range(len(splits))]
    return pd.DataFrame(
        {
            "id": [f"{index:02d}" for index in range(len(splits))],
            "split": splits,
            "group": sources if groups is None else groups,
            "source": sources,
        }
    )
