"""Losses, in float32."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer


def cross_entropy(
    logits: Float[Array, "batch classes"], label: Int[Array, " batch"], *, label_smoothing: float = 0.0
) -> Float[Array, " batch"]:
    """Computes the cross entropy of every example against its class, in nats.

    Args:
      logits: unnormalised log-probabilities.
      label: class indices.
      label_smoothing: share of the probability that is spread evenly over all classes.
    """
    log_probability = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    of_label = jnp.take_along_axis(log_probability, label[:, None], axis=-1)[:, 0]
    of_all = jnp.mean(log_probability, axis=-1)
    return -((1 - label_smoothing) * of_label + label_smoothing * of_all)


def pixel_cross_entropy(
    logits: Float[Array, "batch height width classes"], label: Integer[Array, "batch height width"]
) -> Float[Array, "batch height width"]:
    """Computes the cross entropy of every pixel against its class, in nats; NaN for a label that is no class.

    The logit of the class is chosen by comparison: on accelerators the gradient of an index is a slow scatter.
    """
    values = logits.astype(jnp.float32)
    num_classes = values.shape[-1]
    label = label.astype(jnp.int32)
    is_class = label[..., None] == jnp.arange(num_classes, dtype=jnp.int32)[None, None, None, :]
    of_label = jnp.sum(jnp.where(is_class, values, 0), axis=-1)
    losses = jax.nn.logsumexp(values, axis=-1) - of_label
    return jnp.where((label >= 0) & (label < num_classes), losses, jnp.nan)


def soft_cross_entropy(
    logits: Float[Array, "batch classes"], target: Float[Array, "batch classes"]
) -> Float[Array, " batch"]:
    """Computes the cross entropy of every example against a distribution over the classes, in nats."""
    return -jnp.sum(target * jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1), axis=-1)


def sigmoid_cross_entropy(logits: Float[Array, "*shape"], target: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes the binary cross entropy of every log-odds against a probability in 0..1, in nats."""
    values = logits.astype(jnp.float32)
    return jax.nn.softplus(values) - target * values


def binary_cross_entropy(
    logits: Float[Array, "batch classes"], target: Float[Array, "batch classes"]
) -> Float[Array, " batch"]:
    """Computes the binary cross entropy, the mean over the classes, in nats.

    Args:
      logits: log-odds of every class; an example may belong to several.
      target: probabilities in 0..1, which need not sum to 1.

    Source: Wightman et al., arXiv:2110.00476; timm's `BinaryCrossEntropy`, whose threshold is `above`.
    """
    return jnp.mean(sigmoid_cross_entropy(logits, target), axis=-1)


def above(target: Float[Array, "batch classes"], threshold: float) -> Float[Array, "batch classes"]:
    """Thresholds a distribution: 1 above the threshold, 0 elsewhere.

    >>> above(jnp.asarray([[0.8, 0.2, 0.0]]), 0.0).tolist(), above(jnp.asarray([[0.8, 0.2, 0.0]]), 0.2).tolist()
    ([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])

    Source: timm's `BinaryCrossEntropy.target_threshold`; DeiT III's training loop has it at 0.
    """
    return (target > threshold).astype(target.dtype)


def smooth_one_hot(
    label: Int[Array, " batch"], *, num_classes: int, label_smoothing: float = 0.0
) -> Float[Array, "batch classes"]:
    """Computes one-hot distributions, of which the share `label_smoothing` is spread evenly over all classes.

    >>> smoothed = smooth_one_hot(jnp.asarray([1]), num_classes=4, label_smoothing=0.4)
    >>> [round(share, 3) for share in smoothed[0].tolist()]
    [0.1, 0.7, 0.1, 0.1]
    """
    one_hot = jax.nn.one_hot(label, num_classes, dtype=jnp.float32)
    return (1 - label_smoothing) * one_hot + label_smoothing / num_classes


def masked_sum(
    values: Float[Array, " batch"], is_real: Bool[Array, " batch"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Sums over the real examples, and counts them in the type of the values."""
    weight = is_real.astype(values.dtype)
    return jnp.sum(values * weight), jnp.sum(weight)
