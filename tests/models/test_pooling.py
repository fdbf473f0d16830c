"""Pooling of tokens: the class token, the mean, and attention of a learned query against its formula in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from scipy.special import erf, softmax

from gauss_vit.models.attention import AttentionConfig
from gauss_vit.models.blocks import BlockConfig
from gauss_vit.models.pooling import AttentionPool, pool_tokens
from gauss_vit.tree import flatten_paths

WIDTH, HEADS = 8, 2
CONFIG = BlockConfig(
    attention=AttentionConfig(width=WIDTH, num_heads=HEADS, grid=(2, 3), start="fan_in_uniform"), mlp_ratio=2.0
)
TOKENS = jax.random.normal(jax.random.key(0), (2, 7, WIDTH), jnp.float32)


def reader():
    """A layer whose parameters all matter."""
    graph, state = nnx.split(AttentionPool(CONFIG, key=jax.random.key(1)))
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(0.3 * random.normal(size=leaf.shape), jnp.float32), nnx.to_pure_dict(state)
    )
    return nnx.merge(graph, params), {path: np.float64(leaf) for path, leaf in flatten_paths(params).items()}


def test_a_query_reads_all_patches_of_its_image_and_no_prefix():
    layer, params = reader()

    def dense(inputs, name):
        return inputs @ params[f"{name}.kernel"] + params[f"{name}.bias"]

    patches = np.float64(TOKENS[:, 1:])
    query = dense(params["latent"][0, 0], "query").reshape(HEADS, -1)
    key, value = np.split(dense(patches, "key_value").reshape(2, 6, 2 * HEADS, -1), 2, axis=2)
    logits = np.einsum("hc,bthc->bht", query, key) / np.sqrt(WIDTH / HEADS)
    read = np.einsum("bht,bthc->bhc", softmax(logits, axis=-1), value).reshape(2, WIDTH)
    first = dense(read, "projection")
    unit = (first - first.mean(-1, keepdims=True)) / np.sqrt(first.var(-1, keepdims=True) + 1e-6)
    hidden = dense(unit * params["norm.scale"] + params["norm.bias"], "mlp.fc1")
    expected = first + dense(hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))), "mlp.fc2")
    found = pool_tokens("attention", TOKENS, prefix_tokens=1, reader=layer)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_tokens_and_means():
    np.testing.assert_array_equal(pool_tokens("token", TOKENS, prefix_tokens=1, reader=None), TOKENS[:, 0])
    mean = pool_tokens("mean", TOKENS, prefix_tokens=1, reader=None)
    np.testing.assert_allclose(mean, np.float64(TOKENS[:, 1:]).mean(axis=1), atol=1e-6)
