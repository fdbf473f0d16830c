"""The shorter way to one token gives what the whole map gives."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gauss_vit.analysis.gradient import ErfBatch, TokenReader, gradient_norms, token_maps, token_sums
from gauss_vit.analysis.protocol import BMVC2023, RANDOM_PROJECTION, balanced_signs

IMAGES = jax.random.normal(jax.random.key(0), (3, 8, 12, 3), jnp.float32)
BATCH = ErfBatch(image=IMAGES, is_real=jnp.array([True, True, False]))
POSITIONS = jnp.array([[1, 2]], jnp.int32)
PARAMS = jax.random.normal(jax.random.key(1), (3, 16), jnp.float32)


class Squares:
    """Means of 4 x 4 pixels, mixed, squared, and mixed with the whole image; the squares are the trunk."""

    def __init__(self):
        self.num_tokens_read = 0

    def __call__(self, params, images):
        return mixed(self.trunk(params, images))

    def trunk(self, params, images):
        return jnp.square(images.reshape(images.shape[0], 2, 4, 3, 4, 3).mean(axis=(2, 4)) @ params)

    def at_token(self, params, trunk, position):
        self.num_tokens_read += 1
        return mixed(trunk)[:, position[0], position[1]]


def mixed(squares):
    return squares + jnp.broadcast_to(squares.mean(axis=(1, 2), keepdims=True), squares.shape)


def test_one_token_is_read_by_the_shorter_way_and_gives_the_same():
    reader, plain = Squares(), Squares()
    features, function = Partial(reader, PARAMS), Partial(lambda params, images: plain(params, images), PARAMS)
    for protocol in (BMVC2023, RANDOM_PROJECTION):
        for run in (token_sums, token_maps):
            found = run(features, BATCH, POSITIONS, protocol=protocol)
            expected = run(function, BATCH, POSITIONS, protocol=protocol)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-8)
    assert reader.num_tokens_read >= 3
    assert isinstance(reader, TokenReader)


def test_norms_are_those_of_the_gradients_of_the_trunk_of_real_images():
    reader = Squares()
    found = gradient_norms(Partial(reader, PARAMS), BATCH, POSITIONS[0], protocol=BMVC2023)
    trunk = reader.trunk(PARAMS, IMAGES[:2])
    signs = balanced_signs(PARAMS.shape[1])
    for norm, weights in zip(found, (np.ones_like(signs), signs), strict=True):
        gradient = jax.grad(lambda values, weights=weights: (mixed(values)[:, 1, 2] @ weights).sum())(trunk)
        np.testing.assert_allclose(norm, jnp.linalg.norm(gradient) / PARAMS.shape[1], rtol=1e-5)


def test_several_tokens_share_one_forward_pass():
    reader = Squares()
    positions = jnp.array([[0, 0], [1, 2]], jnp.int32)
    both, _ = token_sums(Partial(reader, PARAMS), BATCH, positions, protocol=BMVC2023)
    assert reader.num_tokens_read == 0
    alone, _ = token_sums(Partial(reader, PARAMS), BATCH, positions[1:], protocol=BMVC2023)
    np.testing.assert_allclose(both[1], alone[0], rtol=1e-5, atol=1e-8)


def test_a_reader_with_its_weights_inside_is_a_plain_function():
    class Fixed(Squares):
        def __call__(self, images):
            return mixed(self.trunk(PARAMS, images))

    reader = Fixed()
    found, _ = token_sums(Partial(reader), BATCH, POSITIONS, protocol=BMVC2023)
    expected, _ = token_sums(Partial(Squares(), PARAMS), BATCH, POSITIONS, protocol=BMVC2023)
    assert reader.num_tokens_read == 0
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
