"""The gradient of a large batch from smaller ones, one after the other, in one compiled step.

Only the memory of activations changes: the loss is the mean over the real examples of the whole batch, whichever part
they are in.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.batches import BATCH_AXES, Batch
from gauss_vit.tasks.augmentation import Augmented


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Examples:
    """What a loss is computed from.

    Attributes:
      batch: without its bytes.
      augmented: its images as the model sees them.
    """

    batch: Batch
    augmented: Augmented


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Accumulated:
    """A loss over a batch with what goes with it.

    Attributes:
      loss: float32 scalar, the mean over the real examples.
      metric: sums over the real examples.
      gradients: of the loss, as the parameters.
    """

    loss: PyTree
    metric: PyTree
    gradients: PyTree


Loss = Callable[[PyTree, Examples, PRNGKeyArray], tuple[Float[Array, ""], PyTree]]


def accumulate(
    loss: Loss, params: PyTree, examples: Examples, *, key: PRNGKeyArray, num_parts: int, mesh: Mesh
) -> Accumulated:
    """Differentiates the loss of a batch, in so many equal parts.

    Args:
      loss: (parameters, examples, key) to the mean over the real examples and the sums of the metric.
      params: of the model.
      examples: the whole batch; its size is divisible by the number of parts.
      key: for dropout; with one part it is used as it is.
      num_parts: 1 is one pass.
      mesh: over which the batch is split; every part is split over all of it.
    """
    differentiate = jax.value_and_grad(loss, has_aux=True)
    if num_parts == 1:
        (value, metric), gradients = differentiate(params, examples, key)
        return Accumulated(loss=value, metric=metric, gradients=gradients)
    num_real = jnp.maximum(jnp.sum(examples.batch.is_real, dtype=jnp.int32), 1).astype(jnp.float32)

    def add(sums: tuple[PyTree, PyTree], part: tuple[Examples, Array]) -> tuple[tuple[PyTree, PyTree], PyTree]:
        few, index = part
        (value, metric), gradients = differentiate(params, few, jax.random.fold_in(key, index))
        weight = jnp.sum(few.batch.is_real, dtype=jnp.int32).astype(jnp.float32) / num_real
        return jax.tree.map(lambda total, new: total + weight * new, sums, (value, gradients)), metric

    nothing = (jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, params))
    parts = (split(examples, num_parts, mesh), jnp.arange(num_parts, dtype=jnp.int32))
    (value, gradients), metrics = jax.lax.scan(add, nothing, parts)
    metric = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0, dtype=leaf.dtype), metrics)
    return Accumulated(loss=value, metric=metric, gradients=gradients)


def split(tree: PyTree, num_parts: int, mesh: Mesh) -> PyTree:
    """Cuts arrays [batch, ...] into [parts, batch / parts, ...].

    Example i goes to part i mod parts, so that each device keeps the examples that it holds and nothing is sent.
    """
    sharding = NamedSharding(mesh, PartitionSpec(None, BATCH_AXES))

    def split_leaf(leaf: Array) -> Array:
        parts = leaf.reshape(leaf.shape[0] // num_parts, num_parts, *leaf.shape[1:])
        return jax.lax.with_sharding_constraint(jnp.moveaxis(parts, 1, 0), sharding)

    return jax.tree.map(split_leaf, tree)
