"""Matching beside the rules in plain NumPy, on many random and degenerate scenes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.ops.detection.matching import BACKGROUND, BOX_HEAD, IGNORED, RPN, Matching, match
from tests.ops.detection.scenes import boxes_of, overlaps

NUM_BOXES, NUM_OBJECTS, NUM_SCENES = 50, 6, 1000
FASTER = Matching(positive=0.5, negative=0.5)


def matched_by_hand(boxes, objects, is_box, is_object, matching: Matching) -> np.ndarray:
    """The rules one after the other, objects in order."""
    matched = np.full(len(boxes), BACKGROUND)
    overlap = overlaps(objects, boxes) if is_object.any() else np.zeros((len(objects), len(boxes)), np.float32)
    overlap = np.where(is_object[:, None] & is_box, overlap, np.float32(-1))
    best, nearest = overlap.max(axis=0), overlap.argmax(axis=0)
    matched[best >= matching.negative] = IGNORED
    if is_object.any():
        matched[best >= matching.positive] = nearest[best >= matching.positive]
    for place in np.flatnonzero(is_object):
        top = overlap[place].max()
        if matching.low_quality is not None and top >= matching.low_quality:
            matched[overlap[place] == top] = place
    matched[~is_box] = IGNORED
    return matched


def scene(seed: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    drawn = boxes_of(random, NUM_BOXES + NUM_OBJECTS)
    boxes, objects = drawn[:NUM_BOXES], drawn[NUM_BOXES:]
    if seed % 5 == 0:
        objects[:3] = boxes[:3]
    if seed % 7 == 0:
        objects[1] = objects[0]
    if seed % 11 == 0:
        boxes[:10, 2:] = boxes[:10, :2]
    is_object = np.arange(NUM_OBJECTS) < seed % (NUM_OBJECTS + 1)
    return boxes, objects, random.random(NUM_BOXES) < (0.8 if seed % 3 else 1.0), is_object


def match_all(boxes, objects, is_box, is_object, *, matching: Matching):
    return match(boxes, objects, is_box=is_box, is_object=is_object, matching=matching)


@pytest.mark.parametrize("matching", [RPN, BOX_HEAD, FASTER], ids=["rpn", "box head", "without low quality"])
def test_matching_follows_the_rules(matching: Matching):
    scenes = [np.stack(parts) for parts in zip(*map(scene, range(NUM_SCENES)), strict=True)]
    found = jax.jit(jax.vmap(functools.partial(match_all, matching=matching)))(*scenes)
    expected = [matched_by_hand(*parts, matching) for parts in zip(*scenes, strict=True)]
    assert {BACKGROUND, IGNORED, 0, NUM_OBJECTS - 1} <= set(np.unique(expected))
    np.testing.assert_array_equal(found, expected)


def test_without_objects_all_is_background():
    boxes, objects, is_box, _ = map(jnp.asarray, scene(4))
    found = match(boxes, objects, is_box=jnp.ones_like(is_box), is_object=jnp.zeros(NUM_OBJECTS, bool), matching=RPN)
    assert np.all(found == BACKGROUND)


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(ConfigError, match="negative <= positive"):
        Matching(positive=0.3, negative=0.7)
