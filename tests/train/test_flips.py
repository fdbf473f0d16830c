"""Training images are flipped on the device as the host drew it, before anything else is done to them."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np

from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.ops.erasing import Erasing
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from gauss_vit.train.state import abstract_model
from gauss_vit.train.step import Forward
from tests.train.toy import build

IS_FLIPPED = np.asarray([True, False, True, False])
IMAGES = np.random.RandomState(0).randint(0, 256, (4, 4, 6, 3), np.uint8)
MIRRORED = np.where(IS_FLIPPED[:, None, None, None], IMAGES[:, :, ::-1], IMAGES)
NAMED = Batch(
    image=jnp.asarray(IMAGES),
    is_real=jnp.asarray([True, True, True, False]),
    targets=ClassTargets(label=jnp.asarray([0, 1, 2, 0], jnp.int32)),
    is_flipped=jnp.asarray(IS_FLIPPED),
)
ON_THE_HOST = dataclasses.replace(NAMED, image=jnp.asarray(MIRRORED), is_flipped=None)


def test_a_step_sees_what_it_would_see_had_the_host_flipped():
    task = Classification(erasing=Erasing(probability=0.5))
    normalization = Normalization(mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))
    forward = Forward(graph=abstract_model(build).graph, task=task, normalization=normalization)
    run = jax.jit(forward.examples)
    for seed in range(3):
        found, expected = (run(batch, key=jax.random.key(seed)) for batch in (NAMED, ON_THE_HOST))
        chex.assert_trees_all_equal(found, expected)
        assert np.any(found.image != normalization(jnp.asarray(IMAGES)))
