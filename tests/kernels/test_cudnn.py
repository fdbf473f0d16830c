"""What reaches cuDNN, and what is done where cuDNN is wrong. cuDNN itself needs a GPU: XLA computes in its place."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.kernels import attention as entry
from gauss_vit.kernels import cudnn
from gauss_vit.kernels.attention import attention, settle
from gauss_vit.kernels.choice import AttentionShape
from gauss_vit.kernels.reference import attend, attention_logits, attention_weights
from gauss_vit.ops.grid import offset_shape

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


@pytest.fixture(autouse=True)
def _forgets():
    cudnn._fault.cache_clear()
    entry._report.cache_clear()
    yield
    cudnn._fault.cache_clear()


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
    assert cudnn.fault(num_tokens, CHANNELS) == ""
    size = cudnn.padded(num_tokens)
    assert set(seen) == {((3, size, 4, CHANNELS), ((1, 4, size, size), "bfloat16"))}
    seen.clear()
    assert cudnn.fault(num_tokens, CHANNELS, has_bias=False) == ""
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
    assert cudnn.fault(6, CHANNELS).startswith(found)


def test_a_wrong_result_is_found(monkeypatch):
    exact = StandIn()
    monkeypatch.setattr(jax.nn, "dot_product_attention", lambda *args, **named: exact(*args, **named) * 1.125)
    assert cudnn.fault(6, CHANNELS).startswith("the result in inference differs by 0.1")


def test_many_tokens_are_stood_for_by_about_a_thousand(monkeypatch):
    compared = []
    monkeypatch.setattr(cudnn, "_compare", lambda num_tokens, *_: compared.append(num_tokens) or "")
    for num_tokens in (1, 1151, 1152, 4096, 4097, 16384 + 64):
        cudnn.fault(num_tokens, CHANNELS)
    # The third stands for itself.
    assert compared == [1, 1151, 1024, 1025, 1088]


def test_the_comparison_sees_nothing_of_the_program_that_asks_for_it(monkeypatch):
    stand_in(monkeypatch)
    mesh = jax.sharding.AbstractMesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def asked(value):
        with jax.sharding.use_abstract_mesh(mesh), jax.transfer_guard("disallow_explicit"):
            return value * float(cudnn.fault(6, CHANNELS) == "")

    program = jax.make_jaxpr(jax.vmap(asked))(jnp.ones(3))
    assert "dot_general" not in str(program)
    assert cudnn.fault(6, CHANNELS) == ""


@pytest.mark.parametrize("axes", [("data",), ("data", "fsdp"), ("data", "model"), ()])
def test_on_a_mesh_of_training_the_batch_is_spread_and_the_bias_whole(axes, monkeypatch):
    stand_in(monkeypatch)
    query, key, value, bias = (jax.ShapeDtypeStruct(each.shape, each.dtype) for each in inputs(6))
    sizes = (2,) if len(axes) == 1 else (2, 4)
    mesh = jax.sharding.AbstractMesh(sizes[: len(axes)], axes, axis_types=(jax.sharding.AxisType.Auto,) * len(axes))

    def attend(query, key, value, bias):
        with jax.sharding.use_abstract_mesh(mesh):
            return cudnn.attend_cudnn(query, key, value, bias, scale=1.0)

    program = jax.make_jaxpr(attend)(query, key, value, bias)
    placed = [equation for equation in program.eqns if equation.primitive.name == "sharding_constraint"]
    found = [equation.params["sharding"].spec for equation in placed]
    is_ours = axes and "model" not in axes
    assert found == ([jax.sharding.PartitionSpec(axes)] * 3 + [jax.sharding.PartitionSpec()] if is_ours else [])


def test_a_machine_without_cudnn_is_a_fault_in_one_line():
    assert cudnn.fault(6, CHANNELS) == "it fails: cuDNN is not detected."


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
    assert cudnn.fault(6, CHANNELS) == line


@pytest.mark.parametrize("wanted", ["auto", "cudnn"])
def test_while_a_program_is_traced_cudnn_is_taken_if_it_is_right(wanted, monkeypatch, caplog):
    taken = stand_in(monkeypatch)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    *tokens, table = inputs(6, grid=(2, 3))

    @jax.jit
    def mixed(query, key, value, table):
        return attention(query, key, value, table=table, grid=(2, 3), kernel=wanted)

    with caplog.at_level(logging.INFO, "gauss_vit"):
        found = mixed(*tokens, table)
    assert not caplog.messages
    # Once for the comparison, once for the program.
    assert len(taken.seen) == 2
    expected = attention(*tokens, table=table, grid=(2, 3), kernel="reference")
    np.testing.assert_allclose(found.astype(jnp.float32), expected.astype(jnp.float32), atol=0.05)


def test_while_a_program_is_traced_cudnn_that_is_wrong_gives_way_and_one_line_says_so(monkeypatch, caplog):
    stand_in(monkeypatch, spoil=jnp.zeros_like)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    *tokens, table = inputs(6, grid=(2, 3))

    @jax.jit
    @jax.grad
    def gradient(table):
        once = attention(*tokens, table=table, grid=(2, 3))
        return jnp.sum(jnp.square(attention(once, *tokens[1:], table=table, grid=(2, 3)).astype(jnp.float32)))

    with caplog.at_level(logging.INFO, "gauss_vit"):
        found = gradient(table)
    assert float(jnp.linalg.norm(found)) > 0
    (line,) = caplog.messages
    assert line.startswith("attention: ")
    assert " instead of cudnn, 6 patches: the gradient of the bias differs by 1 from the specification" in line


def test_cudnn_that_cannot_gives_way_and_one_line_says_so(caplog):
    query, key, value, table = inputs(6, grid=(2, 3))
    with caplog.at_level(logging.INFO, "gauss_vit"):
        found = attention(query, key, value, table=table, grid=(2, 3), kernel="cudnn")
    np.testing.assert_array_equal(found, attention(query, key, value, table=table, grid=(2, 3)))
    assert caplog.messages == [
        "attention: whole instead of cudnn, 6 patches: it needs a GPU, and this is a cpu",
    ]


@pytest.mark.parametrize(("fault", "expected"), [("", "cudnn"), ("the result differs", "einsum")])
def test_a_wrong_cudnn_is_settled_with_its_reason(fault, expected, monkeypatch):
    asked = []
    monkeypatch.setattr(cudnn, "fault", lambda *sizes, has_bias: asked.append((*sizes, has_bias)) or fault)
    shape = AttentionShape(num_patches=196, prefix_tokens=1, head_channels=64, dtype="bfloat16", platform="gpu")
    assert settle(shape) == (expected, fault)
    assert asked == [(197, 64, True)]
