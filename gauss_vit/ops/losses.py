"""Losses, in float32."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def cross_entropy(
    logits: Float[Array, "batch classes"], label: Int[Array, " batch"], *, label_smoothing: float = 0.0
) -> Float[Array, " batch"]:
    """Computes the cross entropy of every example against its class, in nats.

    Args:
      logits: unnormalised log-probabilities.
      label: class indices.
      label_smoothing: the share of probability spread evenly over all classes.
    """
    log_probability = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    of_label = jnp.take_along_axis(log_probability, label[:, None], axis=-1)[:, 0]
    of_all = jnp.mean(log_probability, axis=-1)
    return -((1 - label_smoothing) * of_label + label_smoothing * of_all)


def masked_mean(values: Float[Array, " batch"], is_real: Bool[Array, " batch"]) -> Float[Array, ""]:
    """Averages over the real examples; 0 where there is none."""
    weight = is_real.astype(values.dtype)
    return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1)
