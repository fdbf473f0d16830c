"""Pictures that every machine makes alike, as files: coarse and fine noise in colour, of three proportions."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.models.deterministic import values

SIZES = ((260, 340), (320, 240), (256, 256))


def write_photos(folder: Path) -> None:
    """Writes one PNG of each size; PNG keeps every pixel, so that decoders cannot differ."""
    for index, (height, width) in enumerate(SIZES):
        coarse = values(f"coarse{index}", (height // 20, width // 20, 3)).repeat(20, axis=0).repeat(20, axis=1)
        fine = values(f"fine{index}", (height, width, 3))
        padded = np.pad(coarse, ((0, height - coarse.shape[0]), (0, width - coarse.shape[1]), (0, 0)), mode="edge")
        pixels = (127.5 + 90 * padded + 30 * fine).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
