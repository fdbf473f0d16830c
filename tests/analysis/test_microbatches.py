"""A batch processed in micro-batches gives what it gives whole, over one device and over eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.tree_util import Partial

from gauss_vit.analysis.gradient import ErfBatch, token_maps, token_sums
from gauss_vit.analysis.microbatches import WHOLE, MicroBatches, even_batch_size, microbatches_of
from gauss_vit.analysis.protocol import BMVC2023
from tests import tolerance

NUM_IMAGES = 24


def spread(values, num_devices):
    mesh = Mesh(np.array(jax.devices()[:num_devices]), ("data",))
    return jax.device_put(values, NamedSharding(mesh, PartitionSpec("data")))


def batch(num_devices=1):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((NUM_IMAGES, 8, 8, 3)).astype(np.float32)
    is_real = np.arange(NUM_IMAGES) < NUM_IMAGES - 3
    return ErfBatch(image=spread(images, num_devices), is_real=spread(is_real, num_devices))


def features():
    kernel = jnp.asarray(np.random.default_rng(1).standard_normal((48, 5)), jnp.float32)

    def of_patches(weights, images):
        patches = images.reshape(-1, 2, 4, 2, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2, 2, 48)
        return jnp.tanh(patches @ weights)

    return Partial(of_patches, kernel)


@settings(deadline=None, max_examples=10)  # Every shape compiles.
@given(num=st.integers(1, 5), num_devices=st.integers(1, 4), size=st.integers(1, 3))
def test_what_is_joined_again_is_what_was_split(num, num_devices, size):
    values = np.arange(num * num_devices * size * 2).reshape(-1, 2)
    microbatches = MicroBatches(count=num, num_devices=num_devices)
    parts = microbatches.split(jnp.asarray(values))
    assert parts.shape == (num, num_devices * size, 2)
    np.testing.assert_array_equal(microbatches.join(parts, num_images=len(values)), values)


def test_what_does_not_divide_is_filled_up():
    microbatches = MicroBatches(count=2, num_devices=2)
    parts = microbatches.split(jnp.arange(1, 7))
    np.testing.assert_array_equal(parts, [[1, 2, 4, 5], [3, 0, 6, 0]])
    np.testing.assert_array_equal(microbatches.join(parts, num_images=6), np.arange(1, 7))


def test_every_device_has_its_part_of_every_microbatch():
    owners = jnp.repeat(jnp.arange(4), 6)
    parts = MicroBatches(count=3, num_devices=4).split(owners)
    np.testing.assert_array_equal(parts, [[0, 0, 1, 1, 2, 2, 3, 3]] * 3)


@pytest.mark.parametrize(("num_devices", "num"), [(1, 3), (1, 5), (2, 5), (8, 2), (8, 3)])
@pytest.mark.parametrize("measured", [token_sums, token_maps])
def test_microbatches_change_no_map(num_devices, num, measured):
    positions = jnp.asarray([(0, 1), (1, 1)], jnp.int32)
    whole, _ = measured(features(), batch(), positions, protocol=BMVC2023)
    microbatches = MicroBatches(count=num, num_devices=num_devices)
    found, are_finite = measured(
        features(), batch(num_devices), positions, protocol=BMVC2023, microbatches=microbatches
    )
    # A patch's 48 pixels, 5 channels, 3 colours and the images are summed; gradients of either sign are added up.
    bound = tolerance.of_sums(48 + 5 + 3 + NUM_IMAGES)
    np.testing.assert_allclose(found, whole, rtol=0, atol=bound * np.max(whole))
    assert are_finite.all()


def test_a_gradient_that_is_not_finite_in_one_microbatch_is_told():
    images = batch().image.at[2].set(jnp.nan)
    _, are_finite = token_sums(
        features(),
        ErfBatch(image=images, is_real=batch().is_real),
        jnp.asarray([(0, 0)], jnp.int32),
        protocol=BMVC2023,
        microbatches=MicroBatches(count=3, num_devices=1),
    )
    assert not are_finite.any()


def test_padding_may_hold_anything():
    images = batch().image.at[-1].set(jnp.nan)
    assert not batch().is_real[-1]
    for measured in (token_sums, token_maps):
        _, are_finite = measured(
            features(),
            ErfBatch(image=images, is_real=batch().is_real),
            jnp.asarray([(0, 0)], jnp.int32),
            protocol=BMVC2023,
        )
        assert are_finite.all()


def test_images_stay_where_they_are():
    microbatches = MicroBatches(count=3, num_devices=8)
    positions = jnp.asarray([(0, 1)], jnp.int32)
    lowered = token_sums.lower(features(), batch(8), positions, protocol=BMVC2023, microbatches=microbatches)
    program = lowered.compile().as_text()
    within, _, last = program.partition("ENTRY")
    assert "all-reduce" in last, "the sum over images is one over devices"
    assert "all-reduce" not in within, "and one at the end, not one a microbatch"
    assert "all-gather" not in program
    assert "all-to-all" not in program
    assert "collective-permute" not in program


def test_half_precision_images_are_summed_in_float32():
    whole = batch()
    images = ErfBatch(image=whole.image.astype(jnp.bfloat16), is_real=whole.is_real)
    kernel = features().args[0].astype(jnp.bfloat16)
    function = Partial(features().func, kernel)
    sums, _ = token_sums(function, images, jnp.asarray([(0, 1)], jnp.int32), protocol=BMVC2023)
    assert sums.dtype == jnp.float32


def test_a_microbatch_uses_the_memory_of_the_last_one():
    def temporary(microbatches):
        lowered = token_sums.lower(
            features(), batch(), jnp.asarray([(0, 1)], jnp.int32), protocol=BMVC2023, microbatches=microbatches
        )
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert temporary(MicroBatches(count=6, num_devices=1)) < 0.75 * temporary(WHOLE)


@pytest.mark.parametrize(
    ("num_images", "num_devices", "num"),
    [(24, 1, 6), (24, 2, 3), (24, 8, 1), (4, 1, 1), (7, 1, 2), (31, 1, 8), (62, 2, 8)],
)
def test_microbatches_on_a_cpu(num_images, num_devices, num):
    assert microbatches_of(spread(np.zeros((num_images, 2), np.float32), num_devices)).count == num


@given(num_images=st.integers(1, 300), at_most=st.integers(1, 80), num_devices=st.integers(1, 9))
def test_batches_hold_all_images_and_few_empty_places(num_images, at_most, num_devices):
    size = even_batch_size(num_images, at_most=at_most, num_devices=num_devices)
    assert size % num_devices == 0
    assert size < min(at_most, num_images) + num_devices
    num_batches = -(-num_images // size)
    assert num_batches <= -(-num_images // at_most)
    assert num_batches * size - num_images < num_batches * num_devices
