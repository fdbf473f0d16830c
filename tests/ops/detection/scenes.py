"""Boxes as detectors see them: objects with clusters of guesses, and every kind that is easy to get wrong."""

import numpy as np
from jaxtyping import Float


def boxes_of(random: np.random.Generator, number: int, *, size: float = 64.0) -> Float[np.ndarray, "boxes 4"]:
    """Draws boxes around a few centres, half of them on a coarse grid so that overlaps are often equal."""
    centres, sides = random.uniform(0, size, (4, 2)), np.exp(random.uniform(0, np.log(size), (4, 2)))
    chosen = random.integers(4, size=number)
    centre = centres[chosen] + random.normal(0, 0.2, (number, 2)) * sides[chosen]
    side = sides[chosen] * np.exp(random.normal(0, 0.2, (number, 2)))
    boxes = np.concatenate([centre - side / 2, centre + side / 2], axis=1)
    return np.where(random.random((number, 1)) < 0.5, np.round(boxes / 8) * 8, boxes).astype(np.float32)


def overlaps(first: Float[np.ndarray, "boxes 4"], second: Float[np.ndarray, "others 4"]) -> np.ndarray:
    """Computes the intersection over union of every pair, in float32."""
    sides = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    shared = np.prod(np.maximum(sides, np.float32(0)), axis=-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, np.float32(1e-6))
