"""A small Mask R-CNN and drawn images, which are compared with MMDetection; nothing is imported from torch or JAX.

Boxes are (y0, x0, y1, x1) in pixels. Everything is made by formulas, so that every machine has the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.models import deterministic

WIDTH, DEPTHS, NUM_HEADS, WINDOW = 16, (2, 2, 2, 1), (1, 2, 4, 8), 4
"""The Swin: channels of the first stage, blocks and attention heads of each stage, side of the windows in tokens."""

CHANNELS, UNITS, NUM_CLASSES = 8, 32, 7
"""Channels of all convolutions of the head, outputs of the dense layers of the box head, classes of objects."""

RPN_SAMPLES, RPN_SHARE, BOX_SAMPLES, BOX_SHARE = 64, 0.5, 48, 0.25
"""Numbers of sampled anchors and regions of an image, and the largest shares of those of objects."""

PROPOSALS = {"train": (300, 400), "test": (200, 400)}
"""Numbers of compared boxes of a level and of proposals."""

DETECTIONS = 24
"""Largest number of detections of an image."""

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of the bytes of a pixel."""

BATCH_SIZE = (224, 256)
"""(height, width) of the padded images: those of the first one."""

_GAINS = {"rpn_cls": 0.3, "rpn_reg": 0.3, "fc_cls": 3.0, "fc_reg": 1.5, "mask_head": 1.4}
"""Scores that pass the floor, logits of the RPN that are not equal in float32, no dead ReLUs."""

_CLASS_BIAS = (3.3, 0.9, 3.9, -4.7, 0.5, 1.0, -0.3, -1.7)
"""Set against what the features of all regions have in common, so that no class is found everywhere."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A drawn image with ellipses as objects.

    Attributes:
      size: (height, width).
      original_size: (height, width) of the image that it was resized from, which is not drawn.
      boxes: box of each object.
      labels: class of each object.
      crowds: boxes of crowds, which nothing reads.
    """

    size: tuple[int, int]
    original_size: tuple[int, int]
    boxes: tuple[tuple[float, float, float, float], ...]
    labels: tuple[int, ...]
    crowds: tuple[tuple[float, float, float, float], ...] = ()

    def masks(self) -> np.ndarray:
        """Returns the mask of each object, bool [objects, height, width]."""
        rows, columns = np.indices(self.size) + 0.5
        return np.array([_ellipse(rows, columns, box) for box in self.boxes])

    def pixels(self) -> np.ndarray:
        """Returns uint8 [height, width, 3]: a slope of colours with ellipses on it, and noise."""
        rows, columns = np.indices(self.size)
        image = np.stack([rows % 256, columns % 256, (rows + columns) % 256], axis=-1).astype(np.float64)
        for box, label, mask in zip(self.boxes, self.labels, self.masks(), strict=True):
            image[mask] = 127 + 100 * deterministic.values(f"colour of {label} at {box}", (3,))
        noise = 20 * deterministic.values(f"image of {self.size}", image.shape)
        return np.clip(image + noise, 0, 255).astype(np.uint8)


IMAGES = (
    Drawn(
        size=(224, 256),
        original_size=(300, 343),
        # Objects of every level of features, one of them the whole image, two that overlap much, and one very small.
        boxes=(
            (0.0, 0.0, 224.0, 256.0),
            (20.0, 30.5, 170.25, 150.0),
            (24.0, 36.0, 178.0, 160.0),
            (120.0, 8.0, 210.0, 60.5),
            (100.5, 130.0, 220.0, 250.0),
            (40.0, 200.0, 52.0, 209.5),
            (10.0, 120.0, 80.0, 190.0),
        ),
        labels=(3, 0, 5, 1, 2, 6, 0),
        crowds=((150.0, 60.0, 200.0, 130.0),),
    ),
    Drawn(
        size=(182, 214),
        original_size=(243, 285),
        boxes=((8.0, 10.0, 60.0, 100.0), (70.0, 20.0, 175.5, 90.25), (80.0, 120.0, 112.0, 170.0)),
        labels=(4, 1, 3),
    ),
)


def batch() -> np.ndarray:
    """Returns the normalised images, zero in padding, float32 [2, height, width, 3]."""
    padded = np.zeros((len(IMAGES), *BATCH_SIZE, 3), np.float32)
    for place, image in zip(padded, IMAGES, strict=True):
        height, width = image.size
        place[:height, :width] = (image.pixels() - np.float32(MEAN)) / np.float32(STD)
    return padded


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the weights of a name of MMDetection."""
    if name.endswith("relative_position_index"):
        return _offset_index()
    if name.endswith("fc_cls.bias"):
        return np.array(_CLASS_BIAS, np.float32)
    gain = next((gain for part, gain in _GAINS.items() if part in name and len(shape) > 1), 1.0)
    return (gain * deterministic.tensor(name, shape)).astype(np.float32)


def priorities(stage: str, image: int, number: int) -> np.ndarray:
    """Returns a number in 0..1 for each candidate of a sampler, float32: those of the lowest numbers are taken.

    Args:
      stage: "rpn", whose candidates are the anchors inside the image, or "box", whose are the objects and then the
        proposals.
      image: index of the image.
      number: number of candidates.
    """
    return ((deterministic.values(f"{stage} {image}", (number,)) + 1) / 2).astype(np.float32)


def scales() -> Iterator[np.ndarray]:
    """Yields (height, width) of each image over those of its original."""
    for image in IMAGES:
        yield np.divide(image.size, image.original_size)


def _ellipse(rows: np.ndarray, columns: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    y0, x0, y1, x1 = box
    vertical = (2 * rows - y0 - y1) / (y1 - y0)
    horizontal = (2 * columns - x0 - x1) / (x1 - x0)
    return vertical**2 + horizontal**2 <= 1


def _offset_index() -> np.ndarray:
    """Returns the row of the table for each (query, key) of a window."""
    rows, columns = np.indices((WINDOW, WINDOW)).reshape(2, -1)
    offsets = [places[:, None] - places + WINDOW - 1 for places in (rows, columns)]
    return offsets[0] * (2 * WINDOW - 1) + offsets[1]
