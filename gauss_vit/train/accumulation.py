"""The gradient of a large batch from micro-batches, one after the other, in one compiled step.

Sums and weights of the loss are added over the micro-batches and divided once, so that what the loss runs over (images,
pixels) counts the same whichever micro-batch it is in, and only the memory of activations changes. The terms of a
detector are divided by the counts of each micro-batch, which weighs by its images: its loss changes as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.batches import BATCH_AXES
from gauss_vit.tasks.task import Examples


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class LossSums:
    """Sums of a loss and a metric over examples.

    Attributes:
      total: float32 scalar, sum of the losses.
      weight: float32 scalar, divisor of the sum; it does not depend on the parameters.
      metric: Sums of the task's metric.
      statistics: New running statistics of the network, a nested dict; empty where it has none.
    """

    total: PyTree
    weight: PyTree
    metric: PyTree
    statistics: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Accumulated:
    """The loss of a batch with its metric and gradients.

    Attributes:
      loss: float32 scalar, the sum of the losses divided by their weight.
      metric: Sums of the task's metric.
      gradients: Gradients of the loss, in the structure of the parameters.
      statistics: New running statistics of the network, a nested dict; empty where it has none.
    """

    loss: PyTree
    metric: PyTree
    gradients: PyTree
    statistics: PyTree


Loss = Callable[[PyTree, Examples, PRNGKeyArray], LossSums]


def accumulate(
    loss: Loss, params: PyTree, examples: Examples, *, key: PRNGKeyArray, num_parts: int, mesh: Mesh
) -> Accumulated:
    """Computes the loss of a batch and its gradients, in equal micro-batches.

    Args:
      loss: Function of (parameters, examples, key) that returns sums over the examples.
      params: Parameters of the network.
      examples: The whole batch; its size is divisible by the number of micro-batches.
      key: Key of dropout; with one micro-batch it is used as it is.
      num_parts: Number of micro-batches; 1 is one pass, which networks with running statistics need: theirs are those
        of a whole batch.
      mesh: Devices that every micro-batch is split over.
    """
    if num_parts == 1:
        return _whole(loss, params, examples, key)

    def total(params: PyTree, part: Examples, key: PRNGKeyArray) -> tuple[Float[Array, ""], LossSums]:
        sums = loss(params, part, key)
        return sums.total, sums

    def add(carry: tuple[PyTree, PyTree, PyTree], part: tuple[Examples, Array]) -> tuple[PyTree, PyTree]:
        few, index = part
        (value, sums), gradients = jax.value_and_grad(total, has_aux=True)(params, few, jax.random.fold_in(key, index))
        return jax.tree.map(jnp.add, carry, (value, sums.weight, gradients)), sums.metric

    zero = jnp.zeros((), jnp.float32)
    parts = (split(examples, num_parts, mesh), jnp.arange(num_parts, dtype=jnp.int32))
    (value, weight, gradients), metrics = jax.lax.scan(add, (zero, zero, jax.tree.map(jnp.zeros_like, params)), parts)
    return Accumulated(
        loss=_divide(value, weight),
        metric=jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0, dtype=leaf.dtype), metrics),
        gradients=jax.tree.map(lambda leaf: _divide(leaf, weight), gradients),
        statistics={},
    )


def split(tree: PyTree, num_parts: int, mesh: Mesh) -> PyTree:
    """Splits arrays [batch, ...] into [parts, batch / parts, ...].

    Example i goes to part i mod parts, so that each device keeps its examples and no data is sent between devices.
    """
    sharding = NamedSharding(mesh, PartitionSpec(None, BATCH_AXES))

    def split_leaf(leaf: Array) -> Array:
        parts = leaf.reshape(leaf.shape[0] // num_parts, num_parts, *leaf.shape[1:])
        return jax.lax.with_sharding_constraint(jnp.moveaxis(parts, 1, 0), sharding)

    return jax.tree.map(split_leaf, tree)


def _whole(loss: Loss, params: PyTree, examples: Examples, key: PRNGKeyArray) -> Accumulated:
    """Differentiates the mean itself, so that no gradient has to be divided."""

    def mean(params: PyTree) -> tuple[Float[Array, ""], LossSums]:
        sums = loss(params, examples, key)
        return _divide(sums.total, sums.weight), sums

    (value, sums), gradients = jax.value_and_grad(mean, has_aux=True)(params)
    return Accumulated(loss=value, metric=sums.metric, gradients=gradients, statistics=sums.statistics)


def _divide(total: Float[Array, "..."], weight: Float[Array, ""]) -> Float[Array, "..."]:
    """Divides by a weight; a sum of weight 0 is itself 0 and returned as it is."""
    return total / jnp.where(weight > 0, weight, jnp.ones_like(weight)).astype(total.dtype)
