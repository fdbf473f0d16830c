"""What reaches cuDNN, and what is done where cuDNN is wrong. cuDNN itself needs a GPU: XLA computes in its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.kernels import cudnn
from gauss_vit.kernels.attention import attention
from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.ops.grid import offset_shape
from gauss_vit.train import mesh as meshes
from gauss_vit.train.mesh import MeshConfig

CHANNELS = 8


class StandIn:
    """The specification under cuDNN's name: it records what it is given, and spoils the gradient of the bias."""

    def __init__(self, spoil=lambda gradient: gradient):
        self.seen = []

        @jax.custom_vjp
        def spoiled(bias):
            return bias

        spoiled.defvjp(lambda bias: (bias, None), lambda _, gradient: (spoil(gradient),))
        self._spoiled = spoiled

    def __call__(self, query, key, value, *, bias, scale, implementation):
        assert implementation == "cudnn"
        self.seen.append((query.shape, None if bias is None else (bias.shape, str(bias.dtype))))
        bias = None if bias is None else self._spoiled(bias)[0]
        return attend(attention_weights(attention_logits(query, key, scale=scale, bias=bias)), value)


def fault(num_tokens: int, *, has_bias: bool = True) -> str:
    return cudnn.fault(num_tokens, CHANNELS, device=jax.devices()[0], has_bias=has_bias)


def stand_in(monkeypatch, **spoiled) -> StandIn:
    stand_in = StandIn(**spoiled)
    monkeypatch.setattr(jax.nn, "dot_product_attention", stand_in)
    return stand_in


def inputs(num_tokens, *, num_heads=2, grid=None):
    keys = jax.random.split(jax.random.key(0), 4)
    tokens = (2, num_tokens, num_heads, CHANNELS)
    query, key, value = (jax.random.normal(each, tokens, jnp.bfloat16) for each in keys[:3])
    shape = (num_heads, num_tokens, num_tokens) if grid is None else (num_heads, *offset_shape(grid))
    return query, key, value, jax.random.normal(keys[3], shape, jnp.float32)


def test_tokens_are_padded_to_the_next_number_that_works():
    for num_tokens in range(1, 1300):
        works = (number for number in range(num_tokens, num_tokens + 4) if number % 2 == 0 and number % 128 != 64)
        assert cudnn.padded(num_tokens) == next(works)


@pytest.mark.parametrize("num_tokens", [6, 5, 63, 64])
def test_padding_changes_neither_results_nor_gradients(num_tokens, monkeypatch):
    seen = stand_in(monkeypatch).seen
    assert fault(num_tokens) == ""
    size = cudnn.padded(num_tokens)
    assert set(seen) == {((3, size, 4, CHANNELS), ((1, 4, size, size), "bfloat16"))}
    seen.clear()
    assert fault(num_tokens, has_bias=False) == ""
    assert {bias is None for _, bias in seen} == {size == num_tokens}


@pytest.mark.parametrize("num_tokens", [6, 7])
def test_no_bias_is_a_bias_of_zeros(num_tokens, monkeypatch):
    seen = stand_in(monkeypatch).seen
    query, key, value, bias = inputs(num_tokens)
    plain = cudnn.attend_cudnn(query, key, value, None, scale=0.5)
    np.testing.assert_array_equal(plain, cudnn.attend_cudnn(query, key, value, bias * 0, scale=0.5))
    assert (seen[0][1] is None) == (num_tokens == 6)


def test_a_bias_that_heads_share_is_given_to_each():
    query, key, value, _ = inputs(6, num_heads=3)
    bias = jnp.ones((1, 6, 6), jnp.float32)

    def total(bias):
        return jnp.sum(cudnn.attend_cudnn(query, key, value, bias, scale=1.0).astype(jnp.float32))

    with pytest.MonkeyPatch.context() as monkeypatch:
        seen = stand_in(monkeypatch).seen
        gradient = jax.grad(total)(bias)
    # cuDNN's own sum over heads is not relied on.
    assert seen[0][1] == ((1, 3, 6, 6), "bfloat16")
    assert gradient.shape == bias.shape


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (jnp.zeros_like, "the gradient of the bias differs by 1 from"),
        (lambda gradient: gradient * jnp.nan, "the gradient of the bias differs by nan from"),
        (lambda gradient: gradient * jnp.bfloat16(1.1), "the gradient of the bias differs by 0.1"),
        (lambda gradient: gradient.at[..., -1].set(0), "the gradient of the bias differs by 0."),
    ],
)
def test_a_wrong_gradient_of_the_bias_is_found(spoil, found, monkeypatch):
    stand_in(monkeypatch, spoil=spoil)
    assert fault(6).startswith(found)


def test_a_wrong_result_is_found(monkeypatch):
    exact = StandIn()
    monkeypatch.setattr(jax.nn, "dot_product_attention", lambda *args, **named: exact(*args, **named) * 1.125)
    assert fault(6).startswith("the result in inference differs by 0.1")


@pytest.mark.parametrize(("num_tokens", "compared"), [(1151, 1152), (1152, 1024), (4097, 1026), (16384 + 64, 1090)])
def test_about_a_thousand_tokens_are_compared_in_place_of_many(num_tokens, compared, monkeypatch):
    sizes = []

    def stop(query, *_, **__):
        sizes.append(query.shape[1])
        raise RuntimeError("seen")

    monkeypatch.setattr(jax.nn, "dot_product_attention", stop)
    assert fault(num_tokens) == "it fails: seen"
    # Padded as cuDNN needs it.
    assert sizes == [compared]


@pytest.mark.parametrize(("tensor", "heads"), [(1, 2), (2, 1)])
def test_on_a_mesh_of_training_each_device_computes_its_own_examples_and_heads(tensor, heads, monkeypatch):
    seen = stand_in(monkeypatch).seen
    mesh = meshes.make(MeshConfig(slices=2, data=1, fsdp=1, tensor=tensor), jax.devices())
    query, key, value, table = inputs(6, grid=(2, 3))

    def mixed(query, table):
        named = {"platform": "gpu", "kernel": "cudnn"}
        return jnp.sum(attention(query, key, value, table=table, grid=(2, 3), **named).astype(jnp.float32) ** 2)

    def on_mesh(query, table):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return mixed(query, table)

    expected = jax.jit(jax.value_and_grad(mixed, argnums=1))(query, table)
    seen.clear()
    spread = jax.device_put(query, meshes.batch_sharding(mesh))
    found = jax.jit(jax.value_and_grad(on_mesh, argnums=1))(spread, table)
    assert {shape for shape, _ in seen} == {(1, 6, heads, CHANNELS)}
    jax.tree.map(lambda ours, whole: np.testing.assert_allclose(ours, whole, rtol=2e-2, atol=1e-2), found, expected)


def test_a_machine_without_cudnn_is_a_fault_in_one_line():
    assert fault(6) == "it fails: cuDNN is not detected."


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("INTERNAL: no plan\nat cudnn.cc:1"), "it fails: INTERNAL: no plan"),
        (AssertionError(), "it fails: AssertionError"),
    ],
)
def test_whatever_cudnn_raises_is_one_line(error, line, monkeypatch):
    def raises(*_, **__):
        raise error

    monkeypatch.setattr(jax.nn, "dot_product_attention", raises)
    assert fault(6) == line


def test_where_it_is_asked_for_and_can_cudnn_is_called(monkeypatch):
    taken = stand_in(monkeypatch)
    *tokens, table = inputs(6, grid=(2, 3))

    @jax.jit
    def mixed(query, key, value, table):
        return attention(query, key, value, table=table, grid=(2, 3), kernel="cudnn", platform="gpu")

    found = mixed(*tokens, table)
    assert len(taken.seen) == 1
    expected = attention(*tokens, table=table, grid=(2, 3), kernel="reference")
    np.testing.assert_allclose(found.astype(jnp.float32), expected.astype(jnp.float32), atol=0.05)


def test_where_it_cannot_another_kernel_is_called(monkeypatch):
    taken = stand_in(monkeypatch)
    query, key, value, table = inputs(6, grid=(2, 3))
    found = attention(query, key, value, table=table, grid=(2, 3), kernel="cudnn")
    np.testing.assert_array_equal(found, attention(query, key, value, table=table, grid=(2, 3)))
    assert not taken.seen
