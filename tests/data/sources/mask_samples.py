"""Folders of small drawn images and masks for the tests of segmentation data."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.data.samples import encode

HEIGHT, WIDTH = 9, 12


def drawn_image(seed: int) -> bytes:
    """A JPEG file of coloured noise."""
    return encode(np.random.RandomState(seed).randint(0, 256, (HEIGHT, WIDTH, 3), np.uint8), "JPEG")


def drawn_mask(seed: int, num_values: int = 3) -> np.ndarray:
    """Rectangles of values 0, 1, ..., of which each is there."""
    mask = np.full((HEIGHT, WIDTH), seed % num_values, np.uint8)
    for value in range(num_values):
        mask[value : value + 3, 3 * value % WIDTH : 3 * value % WIDTH + 2] = value
    return mask


def make_pairs(root: Path, splits: Mapping[str, int], *, masks: str = "masks", num_values: int = 3) -> Path:
    """Writes `images/SPLIT/000.jpg ...` with masks of the same names; "" is no split."""
    for split, count in splits.items():
        for kind in ("images", masks):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (root / "images" / split / f"{index:03d}.jpg").write_bytes(drawn_image(index))
            (root / masks / split / f"{index:03d}.png").write_bytes(encode(drawn_mask(index, num_values)))
    return root


def make_mask_folder(
    root: Path, splits: Mapping[str, int], *, classes: tuple[str, ...] = ("sky", "road", "car")
) -> Path:
    """Writes a folder of images and masks with a list of its classes."""
    make_pairs(root, splits, num_values=len(classes))
    (root / "classes.txt").write_text("\n".join(classes))
    return root
