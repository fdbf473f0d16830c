"""The weights of the small model whose probabilities timm recorded (`record_predict`)."""

import numpy as np

from tests.models import deterministic

SIDE, TOP = 64, 20
"""Side of its images in pixels, and the number of classes that are recorded."""


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a parameter by timm's name; the classifier is scaled, so that a few classes are much more probable."""
    return deterministic.tensor(name, shape) * np.float32(4 if name.startswith("head") else 1)
