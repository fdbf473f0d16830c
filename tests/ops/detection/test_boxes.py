"""Overlap and code of boxes, beside NumPy and their inverse."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from gauss_vit.ops.detection.boxes import LARGEST_GROWTH, clip, decode, encode, iou
from tests.ops.detection.scenes import boxes_of, overlaps

STDS = (0.1, 0.1, 0.2, 0.2)


def test_overlaps_are_numpys_and_zero_without_area():
    boxes = boxes_of(np.random.default_rng(0), 300)
    boxes[:20, 2:] = boxes[:20, :2]
    found = jax.jit(lambda boxes: iou(boxes[:, None], boxes[None]))(boxes)
    np.testing.assert_allclose(found, overlaps(boxes, boxes), atol=1e-6)
    assert np.all(found[:20, :20] == 0)


def test_decoding_inverts_encoding():
    boxes = boxes_of(np.random.default_rng(1), 500)
    boxes = boxes[np.all(boxes[:, 2:] - boxes[:, :2] > 1, axis=1)]
    anchors, others = jnp.asarray(boxes[:150]), jnp.asarray(boxes[150:300])
    np.testing.assert_allclose(decode(anchors, encode(anchors, others, STDS), STDS), others, atol=1e-3)


def test_code_is_shift_in_sides_and_growth():
    anchor, box = jnp.array([[0.0, 0.0, 10.0, 20.0]]), jnp.array([[0.0, 10.0, 20.0, 30.0]])
    np.testing.assert_allclose(encode(anchor, box, (1.0, 1.0, 0.5, 0.5)), [[0.5, 0.5, 2 * np.log(2), 0]], atol=1e-6)


def test_growth_is_bounded_both_ways():
    anchor = jnp.array([[0.0, 0.0, 16.0, 16.0]])
    sides = [decode(anchor, jnp.array([[0.0, 0.0, growth, growth]]), (1.0,) * 4) for growth in (-99.0, 99.0)]
    heights = [float(box[0, 2] - box[0, 0]) for box in sides]
    np.testing.assert_allclose(heights, [16 * np.exp(-LARGEST_GROWTH), 16 * np.exp(LARGEST_GROWTH)], rtol=1e-5)


def test_boxes_are_clipped_to_their_own_image():
    boxes = jnp.array([[[-1.0, -2.0, 9.0, 9.0]], [[-1.0, -2.0, 9.0, 9.0]]])
    clipped = clip(boxes, jnp.array([[4.0, 20.0], [20.0, 6.0]]))
    np.testing.assert_array_equal(clipped, [[[0, 0, 4, 9]], [[0, 0, 9, 6]]])


def test_gradients_of_the_code():
    anchors, code = jnp.array([[0.0, 0.0, 8.0, 4.0]]), jnp.array([[0.1, -0.2, 0.3, 0.1]])
    check_grads(lambda code: decode(anchors, jnp.asarray(code), STDS), (code,), order=1, modes=["rev"], rtol=1e-2)
