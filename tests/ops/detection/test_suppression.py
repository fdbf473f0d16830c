"""Suppression is the greedy one, in every kind of scene."""

import functools

import jax
import numpy as np
import pytest

from gauss_vit.ops.detection.suppression import suppress
from tests.ops.detection.scenes import boxes_of, overlaps

NUM_BOXES, NUM_SCENES = 48, 1000


def greedy(boxes, scores, groups, is_box, threshold: float) -> np.ndarray:
    kept: list[int] = []
    overlap = overlaps(boxes, boxes)
    for index in np.argsort(-scores, kind="stable"):
        rivals = [other for other in kept if groups[other] == groups[index]]
        if is_box[index] and not np.any(overlap[rivals, index] > threshold):
            kept.append(index)
    return np.isin(np.arange(len(boxes)), kept)


def scene(seed: int) -> tuple[np.ndarray, ...]:
    """Ties of scores and of overlaps, boxes without area, chains, one group or several, and nothing at all."""
    random = np.random.default_rng(seed)
    boxes = boxes_of(random, NUM_BOXES)
    if seed % 6 == 0:
        start = np.arange(NUM_BOXES, dtype=np.float32) * 4
        boxes = np.stack([0 * start, start, 0 * start + 40, start + 40], axis=1)
    if seed % 5 == 0:
        boxes[:8, 2:] = boxes[:8, :2]
    scores = (random.integers(1, 9, size=NUM_BOXES) / 8).astype(np.float32)
    groups = random.integers(1 + seed % 3, size=NUM_BOXES).astype(np.int32)
    return boxes, scores, groups, random.random(NUM_BOXES) < (0.0 if seed % 97 == 0 else 0.9)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_kept_boxes_are_those_of_the_greedy_loop(threshold: float):
    scenes = [np.stack(parts) for parts in zip(*map(scene, range(NUM_SCENES)), strict=True)]
    one = functools.partial(suppress, threshold=threshold)
    every = jax.jit(jax.vmap(lambda boxes, scores, groups, is_box: one(boxes, scores, groups, is_box=is_box)))
    expected = [greedy(*parts, threshold) for parts in zip(*scenes, strict=True)]
    np.testing.assert_array_equal(every(*scenes), expected)
