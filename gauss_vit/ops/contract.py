"""Products of two arrays over shared indices, whose operands, forward and backward, keep their type.

A product of bfloat16 arrays is accumulated in float32 on every backend. What differs is what a gradient makes of a
float32 result: plain automatic differentiation gives it a float32 cotangent, so that both products of the backward pass
have a float32 operand and leave the fast path. Here the cotangent is brought to the type of the operands first.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


def contract(
    equation: str,
    left: Float[Array, "..."],
    right: Float[Array, "..."],
    *,
    dtype: DTypeLike | None = None,
) -> Float[Array, "..."]:
    """Computes a two-operand `jnp.einsum`, accumulated in float32 at least.

    It has no forward-mode derivative (`jax.jvp`); its backward passes are of the same kind.

    Args:
      equation: such as "mk,kn->mn"; every index stands in exactly two of its three parts, or in all (a batch index).
      left: the first operand.
      right: the second operand; it is brought to the type of the first.
      dtype: type of the result; that of the first operand when None.

    Raises:
      ValueError: an index stands in one part of the equation alone.

    >>> contract("mk,kn->mn", jnp.ones((2, 3), jnp.bfloat16), jnp.ones((3, 1), jnp.float32)).dtype
    dtype(bfloat16)
    """
    operands, result = equation.split("->")
    first, second = operands.split(",")
    for index in set(equation) - set(",->"):
        if sum(index in part for part in (first, second, result)) < 2:
            raise ValueError(f"index {index} of {equation} stands in one part alone")
    return _contract((first, second, result), jnp.dtype(dtype or left.dtype), left, right)


Parts = tuple[str, str, str]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _contract(
    parts: Parts, dtype: jnp.dtype, left: Float[Array, "..."], right: Float[Array, "..."]
) -> Float[Array, "..."]:
    first, second, result = parts
    equation, right = f"{first},{second}->{result}", right.astype(left.dtype)
    return jnp.einsum(equation, left, right, preferred_element_type=_written(dtype, left.dtype)).astype(dtype)


def _written(dtype: jnp.dtype, operands: jnp.dtype) -> jnp.dtype:
    """The type that a product is asked for.

    GPUs and TPUs accumulate in float32 whatever they write, and to write float32 first is twice the traffic where the
    library that multiplies cannot convert. On a CPU float32 is what makes the sums so.
    """
    if jnp.float64 in (dtype, operands):
        return jnp.dtype(jnp.float64)
    return jnp.dtype(jnp.float32) if jax.default_backend() == "cpu" else dtype


def _forward(
    parts: Parts, dtype: jnp.dtype, left: Float[Array, "..."], right: Float[Array, "..."]
) -> tuple[Float[Array, "..."], tuple[Float[Array, "..."], Float[Array, "..."]]]:
    return _contract(parts, dtype, left, right), (left, right)


def _backward(
    parts: Parts,
    dtype: jnp.dtype,
    operands: tuple[Float[Array, "..."], Float[Array, "..."]],
    cotangent: Float[Array, "..."],
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    del dtype
    first, second, result = parts
    left, right = operands
    cotangent = cotangent.astype(left.dtype)
    to_left = _contract((result, second, first), left.dtype, cotangent, right)
    to_right = _contract((first, result, second), right.dtype, left, cotangent)
    return to_left, to_right


_contract.defvjp(_forward, _backward)
