"""Products that keep their type, forward and backward."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.ops.dense import dense
from gauss_vit.ops.einsum import einsum


def draw(seed, *shape, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(seed), shape, dtype)


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("mk,kn->mn", (4, 3), (3, 5)),
        ("bhqc,bhkc->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
        ("bqhc,bkhc->bhqk", (2, 4, 3, 5), (2, 6, 3, 5)),
        ("bhqk,bqhc->bkhc", (2, 3, 4, 6), (2, 4, 3, 5)),
    ],
)
def test_values_and_gradients_are_those_of_einsum(equation, left, right):
    left, right = draw(0, *left), draw(1, *right)
    weights = draw(2, *jnp.einsum(equation, left, right).shape)
    found, pull_back = jax.vjp(lambda *operands: einsum(equation, *operands), left, right)
    expected, expected_back = jax.vjp(lambda *operands: jnp.einsum(equation, *operands), left, right)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    for one, other in zip(pull_back(weights), expected_back(weights), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_second_derivative_exists():
    left, right = draw(0, 3, 4), draw(1, 4, 2)

    def squared(right):
        return jnp.sum(jnp.square(einsum("mk,kn->mn", left, right)))

    hessian = jax.jacrev(jax.grad(squared))(right)
    expected = jnp.einsum("mk,ml,no->knlo", left, left, jnp.eye(2, dtype=jnp.float32)) * 2
    np.testing.assert_allclose(hessian, expected, rtol=1e-4, atol=1e-4)


def test_half_precision_is_accumulated_in_float32():
    many = jnp.ones((1, 4096), jnp.bfloat16)
    # Sums in bfloat16 stop growing at 256.
    assert float(einsum("mk,kn->mn", many, many.T, dtype=jnp.float32)[0, 0]) == 4096


@pytest.mark.parametrize(("platform", "written"), [("cpu", "f32"), ("cuda", "bf16"), ("rocm", "bf16"), ("tpu", "bf16")])
def test_accelerators_write_a_product_in_the_type_that_is_asked_for(platform, written):
    half = jnp.ones((2, 2), jnp.bfloat16)

    def types(dtype):
        program = jax.jit(lambda one: einsum("mk,kn->mn", one, one, dtype=dtype))
        text = program.trace(half).lower(lowering_platforms=(platform,)).as_text()
        return re.findall(r"dot_general .* -> tensor<2x2x(\w+)>", text)

    assert types(None) == [written]
    assert types(jnp.float32) == ["f32"]


def test_the_second_operand_takes_the_type_of_the_first_and_keeps_its_own_gradient_type():
    inputs, kernel = draw(0, 2, 3, dtype=jnp.bfloat16), draw(1, 3, 4)
    outputs, pull_back = jax.vjp(lambda *operands: einsum("mk,kn->mn", *operands), inputs, kernel)
    to_inputs, to_kernel = pull_back(outputs)
    assert (outputs.dtype, to_inputs.dtype, to_kernel.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32)


def test_no_product_of_half_precision_has_a_float32_operand():
    inputs, kernel = draw(0, 8, 16, dtype=jnp.bfloat16), draw(1, 16, 32)

    def loss(inputs, kernel):
        logits = einsum("mk,nk->mn", dense(inputs, kernel), dense(inputs, kernel), dtype=jnp.float32)
        return jnp.sum(jax.nn.softmax(logits))

    text = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(inputs, kernel).as_text()
    operands = re.findall(r"stablehlo\.dot_general.*: \((tensor<\S+>), (tensor<\S+>)\)", text)
    assert len(operands) >= 5, "two products forward, and at least three backward"
    assert all("bf16" in one and "bf16" in other for one, other in operands)


def test_an_index_of_one_part_alone_is_refused():
    with pytest.raises(ValueError, match="index k of mk,n->mn"):
        einsum("mk,n->mn", jnp.ones((2, 3), jnp.float32), jnp.ones((4,), jnp.float32))
