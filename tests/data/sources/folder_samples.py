"""Folders of small images for the tests of folders, splits, checks and preparation."""

from pathlib import Path

import numpy as np

from tests.data.samples import encode


def make_folder(root: Path, classes: dict[str, int]) -> Path:
    """Writes `CLASS/000.png ...`, each image of a colour of its own."""
    rng = np.random.RandomState(0)
    for name, count in classes.items():
        folder = root / name
        folder.mkdir(parents=True)
        for index in range(count):
            pixels = rng.randint(0, 256, (9, 12, 3), np.uint8)
            (folder / f"{index:03d}.png").write_bytes(encode(pixels))
    return root
