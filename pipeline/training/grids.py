"""Grids of pictures, for a look at a model while it trains."""

import numpy as np
from PIL import Image, ImageDraw

SAMPLES_FOLDER = "samples"  # of a training, holds its grids
LABEL_WIDTH = 96
GAP = 2
SMALLEST_TILE = 96  # smaller pictures are enlarged by a whole factor


def spread(total: int, count: int) -> list[int]:
    """`count` indices (fewer if there are fewer) spread evenly over 0…total−1."""
    count = min(count, total)
    return [int((i + 0.5) * total / count) for i in range(count)]


def tile(rows: list[tuple[str, np.ndarray]]) -> np.ndarray:
    """Labelled rows of pictures, each uint8 N×H×W×3, as one uint8 picture."""
    count, height, width = rows[0][1].shape[:3]
    factor = max(1, -(-SMALLEST_TILE // min(height, width)))
    height, width = height * factor, width * factor
    canvas = Image.new(
        "RGB", (LABEL_WIDTH + count * (width + GAP), len(rows) * (height + GAP)), "white"
    )
    pen = ImageDraw.Draw(canvas)
    for line, (label, images) in enumerate(rows):
        top = line * (height + GAP)
        pen.text((4, top + height // 2), label, fill="black")
        for column, image in enumerate(images):
            picture = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
            canvas.paste(picture, (LABEL_WIDTH + column * (width + GAP), top))
    return np.array(canvas)
