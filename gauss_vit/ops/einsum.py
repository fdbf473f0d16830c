"""Products of two arrays over shared indices, whose operands, forward and backward, keep their type.

A product of bfloat16 arrays is accumulated in float32 on every backend. What differs is what a gradient makes of a
float32 result: plain automatic differentiation gives it a float32 cotangent, so that both products of the backward pass
have a float32 operand and leave the fast path. Here the cotangent is brought to the type of the operands first.
"""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


def einsum(
    equation: str,
    left: Float[Array, "..."],
    right: Float[Array, "..."],
    *,
    dtype: DTypeLike | None = None,
    precision: jax.lax.Precision | None = None,
) -> Float[Array, "..."]:
    """Computes a two-operand `jnp.einsum`, accumulated in float32 at least.

    It has no forward-mode derivative (`jax.jvp`); its backward passes are of the same kind.

    Args:
      equation: such as "mk,kn->mn"; every index is in exactly two of its three parts, or in all (a batch index).
      left: first operand.
      right: second operand; it is converted to the type of the first.
      dtype: type of the result; that of the first operand when None.
      precision: precision of float32 products, forward and backward. With JAX's default, TPUs round their operands to
        bfloat16 and GPUs to TF32.

    Raises:
      ValueError: an index is in one part of the equation only.

    >>> einsum("mk,kn->mn", jnp.ones((2, 3), jnp.bfloat16), jnp.ones((3, 1), jnp.float32)).dtype
    dtype(bfloat16)
    """
    operands, result = equation.split("->")
    first, second = operands.split(",")
    for index in set(equation) - set(",->"):
        if sum(index in part for part in (first, second, result)) < 2:
            raise ValueError(f"index {index} of {equation} is in one part only")
    return _einsum((first, second, result), jnp.dtype(dtype or left.dtype), precision, left, right)


Parts = tuple[str, str, str]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _einsum(
    parts: Parts,
    dtype: jnp.dtype,
    precision: jax.lax.Precision | None,
    left: Float[Array, "..."],
    right: Float[Array, "..."],
) -> Float[Array, "..."]:
    first, second, result = parts
    right = right.astype(left.dtype)
    least = jnp.dtype(jnp.float64 if jnp.float64 in (dtype, left.dtype) else jnp.float32)
    wide = _Product(equation=f"{first},{second}->{result}", written=least, dtype=dtype, precision=precision)
    if least == jnp.float64 or dtype.itemsize >= least.itemsize:
        return wide(left, right)
    # GPUs and TPUs accumulate in float32 whatever they write; writing float32 first doubles the traffic where the
    # library that multiplies cannot convert. On a CPU only a float32 result makes the sums float32.
    narrow = replace(wide, written=dtype)
    return jax.lax.platform_dependent(left, right, cpu=wide, default=narrow)


@dataclass(frozen=True, kw_only=True)
class _Product:
    """An einsum that asks for a result in the type `written` and converts it to `dtype`; equal ones are traced once."""

    equation: str
    written: jnp.dtype
    dtype: jnp.dtype
    precision: jax.lax.Precision | None

    def __call__(self, left: Float[Array, "..."], right: Float[Array, "..."]) -> Float[Array, "..."]:
        product = jnp.einsum(self.equation, left, right, precision=self.precision, preferred_element_type=self.written)
        return product.astype(self.dtype)


def _forward(
    parts: Parts,
    dtype: jnp.dtype,
    precision: jax.lax.Precision | None,
    left: Float[Array, "..."],
    right: Float[Array, "..."],
) -> tuple[Float[Array, "..."], tuple[Float[Array, "..."], Float[Array, "..."]]]:
    return _einsum(parts, dtype, precision, left, right), (left, right)


def _backward(
    parts: Parts,
    dtype: jnp.dtype,
    precision: jax.lax.Precision | None,
    operands: tuple[Float[Array, "..."], Float[Array, "..."]],
    cotangent: Float[Array, "..."],
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    del dtype
    first, second, result = parts
    left, right = operands
    cotangent = cotangent.astype(left.dtype)
    to_left = _einsum((result, second, first), left.dtype, precision, cotangent, right)
    to_right = _einsum((first, result, second), right.dtype, precision, left, cotangent)
    return to_left, to_right


_einsum.defvjp(_forward, _backward)
