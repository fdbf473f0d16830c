"""The MLP of a block against its formula in NumPy, gated and not."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec
from scipy.special import erf

from gauss_vit.models.mlp import Mlp
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.tree import flatten_paths

WIDTH, HIDDEN, EPSILON = 6, 8, 1e-3
FORMULAS = {
    "gelu": lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "swiglu": lambda x: x[..., :HIDDEN] / (1 + np.exp(-x[..., :HIDDEN])) * x[..., HIDDEN:],
}


def mlp(kind, norm_epsilon=None, dropout_rate=0.0):
    """An MLP whose parameters all matter."""
    made = Mlp(
        WIDTH,
        HIDDEN,
        start="fan_in_uniform",
        dropout_rate=dropout_rate,
        key=jax.random.key(0),
        kind=kind,
        norm_epsilon=norm_epsilon,
    )
    graph, state = nnx.split(made)
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(0.3 * random.normal(size=leaf.shape), jnp.float32), nnx.to_pure_dict(state)
    )
    return nnx.merge(graph, params), {path: np.float64(leaf) for path, leaf in flatten_paths(params).items()}


TOKENS = jax.random.normal(jax.random.key(1), (2, 5, WIDTH), jnp.float32)


@pytest.mark.parametrize("norm_epsilon", [None, EPSILON])
@pytest.mark.parametrize("kind", FORMULAS)
def test_it_is_its_formula(kind, norm_epsilon):
    layer, params = mlp(kind, norm_epsilon)
    hidden = FORMULAS[kind](np.float64(TOKENS) @ params["fc1.kernel"] + params["fc1.bias"])
    if norm_epsilon is not None:
        centred = hidden - hidden.mean(-1, keepdims=True)
        unit = centred / np.sqrt(hidden.var(-1, keepdims=True) + norm_epsilon)
        hidden = unit * params["norm.scale"] + params["norm.bias"]
    expected = hidden @ params["fc2.kernel"] + params["fc2.bias"]
    np.testing.assert_allclose(layer(TOKENS), expected, atol=2e-5)


def test_a_gate_has_hidden_channels_of_its_own():
    _, params = mlp("swiglu")
    assert params["fc1.kernel"].shape == (WIDTH, 2 * HIDDEN) and params["fc2.kernel"].shape == (HIDDEN, WIDTH)


def test_only_a_key_drops_hidden_channels():
    layer, _ = mlp("swiglu", EPSILON, dropout_rate=0.5)
    np.testing.assert_array_equal(layer(TOKENS), mlp("swiglu", EPSILON)[0](TOKENS))
    assert not np.allclose(layer(TOKENS, key=jax.random.key(2)), layer(TOKENS))


@pytest.mark.parametrize("norm_epsilon", [None, EPSILON])
def test_a_gate_split_over_devices_gives_the_same_outputs_and_gradients(norm_epsilon):
    graph, state = nnx.split(mlp("swiglu", norm_epsilon)[0])
    params = {"mlp": nnx.to_pure_dict(state)}
    mesh = meshes.make(MeshConfig(data=2, tensor=4), jax.devices())
    shardings = meshes.tree_shardings(mesh, params)
    assert shardings["mlp"]["fc1"]["kernel"].spec == PartitionSpec(None, "tensor")
    assert shardings["mlp"]["fc2"]["kernel"].spec == PartitionSpec("tensor")

    def loss(params, tokens):
        return jnp.sum(jnp.sin(nnx.merge(graph, params["mlp"])(tokens)))

    def on_the_mesh(params, tokens):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return jax.value_and_grad(loss)(params, tokens)

    split = jax.jit(on_the_mesh)(jax.device_put(params, shardings), jax.device_put(TOKENS, meshes.batch_sharding(mesh)))
    # Sums over hidden channels and examples are in another order.
    chex.assert_trees_all_close(split, jax.jit(jax.value_and_grad(loss))(params, TOKENS), rtol=1e-5, atol=1e-5)
