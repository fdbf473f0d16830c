"""Flips on the device: those of NumPy, of the images that are named, with their masks and boxes."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.batches import Batch, Boxes, ClassTargets, Mask
from gauss_vit.data.images.geometry import Flip, move_targets
from gauss_vit.ops.flipping import flip, flip_batch

IMAGES = np.random.RandomState(0).randint(0, 256, (4, 5, 8, 3), np.uint8)


@pytest.mark.parametrize("shape", [(3, 3, 5, 3), (3, 2, 6, 3), (1, 4, 1, 3)])
def test_the_named_images_are_mirrored_and_no_others(shape):
    images = np.random.RandomState(0).randint(0, 256, shape, np.uint8)
    run = jax.jit(flip)
    for named in np.ndindex(*(2,) * shape[0]):
        mask = np.asarray(named, bool)
        flipped = run(jnp.asarray(images), jnp.asarray(mask))
        assert flipped.dtype == np.uint8
        for index, is_flipped in enumerate(mask):
            np.testing.assert_array_equal(flipped[index], images[index, :, ::-1] if is_flipped else images[index])


def test_two_flips_are_none():
    images = jnp.asarray(np.random.RandomState(0).randint(0, 256, (3, 4, 5, 3), np.uint8))
    mask = jnp.asarray([True, False, True])
    np.testing.assert_array_equal(flip(flip(images, mask), mask), images)


def batch_of(targets, is_flipped):
    return Batch(image=jnp.asarray(IMAGES), is_real=jnp.ones(4, bool), targets=targets, is_flipped=is_flipped)


def test_a_batch_that_names_no_image_is_returned_as_it_is():
    batch = batch_of(ClassTargets(label=jnp.arange(4)), None)
    assert flip_batch(batch) is batch


def test_masks_and_boxes_of_the_named_images_move_as_on_the_host():
    is_flipped = np.asarray([True, False, True, False])
    corners = np.random.RandomState(1).uniform(0, 2, (4, 3, 2, 2)).astype(np.float32)
    boxes = np.concatenate([corners[..., 0], corners[..., 0] + 0.5 + corners[..., 1] / 2], axis=-1)
    boxes[:, 1] = 0  # Rows of zeros are not boxes.
    masks = IMAGES[..., 0].astype(np.int32)
    targets = {"masks": Mask(values=masks, fill=7), "boxes": Boxes(yxyx=boxes), "label": np.arange(4, dtype=np.int32)}
    flipped = jax.jit(flip_batch)(batch_of(jax.tree.map(jnp.asarray, targets), jnp.asarray(is_flipped)))
    assert flipped.is_flipped is None
    assert flipped.targets["masks"].fill == 7
    for index in range(4):
        one = jax.tree.map(lambda leaf, index=index: leaf[index], targets)
        moves = (Flip(),) if is_flipped[index] else ()
        expected = move_targets(one, moves, image_size=(5, 8), name="x")
        np.testing.assert_array_equal(flipped.image[index], IMAGES[index, :, ::-1] if moves else IMAGES[index])
        np.testing.assert_array_equal(flipped.targets["masks"].values[index], expected["masks"].values)
        np.testing.assert_allclose(flipped.targets["boxes"].yxyx[index], expected["boxes"].yxyx, atol=1e-6)
        assert flipped.targets["label"][index] == index


def test_a_batch_flipped_twice_is_the_batch():
    is_flipped = jnp.asarray([True, False, True, True])
    boxes = jnp.asarray([[[0, 1, 3, 4], [1, 2, 5, 8], [0, 0, 0, 0]]] * 4, jnp.float32)
    batch = batch_of({"mask": Mask(values=jnp.asarray(IMAGES[..., 1])), "boxes": Boxes(yxyx=boxes)}, is_flipped)
    twice = flip_batch(dataclasses.replace(flip_batch(batch), is_flipped=is_flipped))
    chex.assert_trees_all_equal(twice, dataclasses.replace(batch, is_flipped=None))
