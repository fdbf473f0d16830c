"""Drawn images with objects, and draws of the training transforms, for the record of MMDetection and beside it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is drawn for one image; sizes are (height, width) and boxes (top, left, bottom, right), in pixels."""

    image_size: tuple[int, int]
    short_side: int
    is_flipped: bool = False
    short_side_before_crop: int | None = None
    crop: tuple[int, int, int, int] | None = None
    longest_side: int = 133


_SHARES = (
    *((0, 0, 0.6, 0.5), (0.3, 0.4, 0.9, 0.95), (0.5, 0.1, 1.1, 0.4)),
    *((0.72, 0.2, 0.95, 0.83), (0.4, 0.5, 0.45, 0.52), (0.85, 0.02, 0.97, 0.05)),
)

CASES = {
    "resized": Case(image_size=(48, 64), short_side=61),
    "flipped": Case(image_size=(64, 43), short_side=80, is_flipped=True),
    "long": Case(image_size=(31, 90), short_side=67),
    "cropped": Case(image_size=(48, 64), short_side=77, short_side_before_crop=50, crop=(3, 11, 44, 52)),
    "cropped_flipped": Case(
        image_size=(64, 43), short_side=51, short_side_before_crop=60, crop=(20, 4, 70, 43), is_flipped=True
    ),
    "without_objects": Case(image_size=(48, 64), short_side=48, short_side_before_crop=40, crop=(0, 40, 8, 53)),
}


def drawn_image(case: Case) -> np.ndarray:
    """Waves with sharp edges, uint8 [height, width, 3]."""
    y, x = np.mgrid[: case.image_size[0], : case.image_size[1]]
    waves = np.stack([np.sin(x / 3 + y / 7), np.cos(x * y / 50), np.sign(np.sin(y / 2 + x / 9))], -1)
    return (127.5 + 127.5 * waves).astype(np.uint8)


def drawn_boxes(case: Case) -> np.ndarray:
    """Boxes at the border, inside, beyond the image, and ones that crops leave out, float32 [objects, 4]."""
    height, width = case.image_size
    shares = np.asarray(_SHARES) * np.asarray([height, width, height, width])
    return (shares + np.asarray([0.37, 0.21, -0.4, 0.13])).astype(np.float32)


def drawn_bitmaps(case: Case) -> np.ndarray:
    """An ellipse in each box, with a hole, uint8 [objects, height, width]."""
    y, x = np.mgrid[: case.image_size[0], : case.image_size[1]] + 0.5
    y0, x0, y1, x1 = drawn_boxes(case).T[:, :, None, None]
    radius = ((2 * y - y0 - y1) / (y1 - y0)) ** 2 + ((2 * x - x0 - x1) / (x1 - x0)) ** 2
    return ((radius <= 1) & (radius > 0.1)).astype(np.uint8)
