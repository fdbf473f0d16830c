"""What MMDetection computed of `tests.heads.mask_rcnn_case`, as tests/heads/record_mask_rcnn.py says."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.heads import mask_rcnn_case as case

RECORDED: Mapping[str, np.ndarray] = dict(np.load(Path(__file__).with_name("mask_rcnn_reference.npz")))
"""Recorded values by their names."""

IMAGES = range(len(case.IMAGES))
"""Indices of the images."""


def tensors() -> dict[str, np.ndarray]:
    """Returns the tensors of MMDetection's model, by its names."""
    shapes = [tuple(int(size) for size in text.split("x") if size) for text in RECORDED["shapes"].tolist()]
    return {name: case.tensor(name, shape) for name, shape in zip(RECORDED["names"].tolist(), shapes, strict=True)}


def levels(name: str) -> list[np.ndarray]:
    """Returns a recorded quantity of every level, the finest first."""
    return [RECORDED[f"{name}.{level}"] for level in range(5)]


def bits(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a recorded quantity of bits."""
    return np.unpackbits(RECORDED[name], count=int(np.prod(shape))).astype(bool).reshape(shape)


def objects(image: int) -> np.ndarray:
    """Returns the boxes of an image's objects."""
    return np.asarray(case.IMAGES[image].boxes, np.float32)


def is_inside(image: int) -> np.ndarray:
    """Returns which anchors are candidates in an image."""
    return bits(f"inside.{image}", RECORDED[f"rpn_matched.{image}"].shape)


def anchor_priorities(image: int) -> np.ndarray:
    """Returns the priorities of all anchors; those outside the image have none, which 1 says."""
    found = np.ones(RECORDED[f"rpn_matched.{image}"].shape, np.float32)
    places = np.flatnonzero(is_inside(image))
    found[places] = case.priorities("rpn", image, len(places))
    return found
