"""Dense layers as functions of arrays; activations keep their type, forward and backward."""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gauss_vit.ops.channels import shift_channels
from gauss_vit.ops.einsum import einsum

DENSE = "dense"
"""Name of a dense layer's outputs for policies of `jax.checkpoint`, which do not see inside functions with a backward
pass of their own."""


def dense(
    inputs: Float[Array, "*batch inputs"],
    kernel: Float[Array, "inputs outputs"],
    bias: Float[Array, " outputs"] | None = None,
) -> Float[Array, "*batch outputs"]:
    """Computes `inputs kernel + bias` in the type of the inputs. It has no forward-mode derivative (`jax.jvp`)."""
    outputs = _product(inputs, kernel)
    if bias is not None:
        outputs = shift_channels(outputs, bias)
    return checkpoint_name(outputs, DENSE)


@jax.custom_vjp
def _product(
    inputs: Float[Array, "*batch inputs"], kernel: Float[Array, "inputs outputs"]
) -> Float[Array, "*batch outputs"]:
    outputs = einsum("mk,kn->mn", _flat(inputs), kernel)
    return outputs.reshape(*inputs.shape[:-1], kernel.shape[-1])


def _forward(
    inputs: Float[Array, "*batch inputs"], kernel: Float[Array, "inputs outputs"]
) -> tuple[Float[Array, "*batch outputs"], tuple[Array, Array]]:
    return _product(inputs, kernel), (inputs, kernel)


def _backward(
    saved: tuple[Float[Array, "*batch inputs"], Float[Array, "inputs outputs"]],
    cotangent: Float[Array, "*batch outputs"],
) -> tuple[Float[Array, "*batch inputs"], Float[Array, "inputs outputs"]]:
    inputs, kernel = saved
    outer = _flat(cotangent)
    to_inputs = einsum("mn,kn->mk", outer, kernel).reshape(inputs.shape)
    # XLA:CPU multiplies bfloat16 fast where no operand is transposed: a copy, a sixth of the product's time, saves
    # two thirds of it. Other platforms transpose within the product.
    is_copied = inputs.dtype == jnp.bfloat16 and inputs.ndim > 2
    to_kernel = jax.lax.platform_dependent(inputs, outer, cpu=_of_copy if is_copied else _of_rows, default=_of_rows)
    return to_inputs, to_kernel.astype(kernel.dtype)


_product.defvjp(_forward, _backward)


def _of_rows(inputs: Float[Array, "*batch inputs"], outer: Float[Array, "rows outputs"]) -> Float[Array, "..."]:
    """Sums the outer products of rows, in float32 at least."""
    return einsum("mk,mn->kn", _flat(inputs), outer, dtype=_accumulated(outer))


def _of_copy(inputs: Float[Array, "*batch inputs"], outer: Float[Array, "rows outputs"]) -> Float[Array, "..."]:
    """Does the same from a transposed copy: merging axes keeps XLA from only changing the layout."""
    columns = jnp.moveaxis(inputs, -1, 0).reshape(inputs.shape[-1], -1)
    return einsum("km,mn->kn", jax.lax.optimization_barrier(columns), outer, dtype=_accumulated(outer))


def _flat(values: Float[Array, "*batch channels"]) -> Float[Array, "rows channels"]:
    return values.reshape(-1, values.shape[-1])


def _accumulated(values: Float[Array, "..."]) -> DTypeLike:
    return jnp.float64 if values.dtype == jnp.float64 else jnp.float32
