"""What a model costs: operations and memory, found from shapes and the traced program; nothing is computed."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Sharding
from jaxtyping import Array, Float, PyTree

from gauss_vit.train.state import AbstractModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFlops:
    """The floating-point operations of one image; a multiplication and an addition are two.

    Attributes:
      forward: inference.
      backward: the forward and the backward pass together, recomputation included.
    """

    forward: float
    backward: float


def image_flops(model: AbstractModel, image_size: tuple[int, int]) -> ImageFlops:
    """Counts the operations of one image, as XLA does before it optimises.

    The counter sees the body of a loop once, however often it runs: give a model whose scan over blocks is unrolled.

    Args:
      model: structure and shapes.
      image_size: (height, width) in pixels.
    """
    total, images = _summed_logits(model), _images(1, image_size)
    return ImageFlops(
        forward=_flops(total, model.params, images),
        backward=_flops(jax.value_and_grad(total), model.params, images),
    )


def activation_bytes(model: AbstractModel, image_size: tuple[int, int], *, batch_size: int) -> int:
    """Adds up what the forward pass of a batch keeps for the backward pass; fusion in the compiler can need less.

    It is what the pullback holds besides the parameters and the images.

    Args:
      model: structure and shapes.
      image_size: (height, width) in pixels.
      batch_size: images on one device.
    """
    total = _summed_logits(model)
    images = _images(batch_size, image_size)
    jaxpr = jax.make_jaxpr(lambda params, images: jax.vjp(total, params, images)[1])(model.params, images).jaxpr
    known = {id(variable) for variable in (*jaxpr.invars, *jaxpr.constvars)}
    kept = {id(variable): variable.aval for variable in jaxpr.outvars if id(variable) not in known}
    return sum(math.prod(aval.shape) * aval.dtype.itemsize for aval in kept.values())


def device_bytes(tree: PyTree, shardings: PyTree) -> int:
    """Adds up the bytes that one device holds of a tree of arrays.

    Args:
      tree: arrays or their shapes.
      shardings: of every leaf; the mesh may be abstract.
    """
    sizes = jax.tree.map(_shard_bytes, tree, shardings)
    return sum(jax.tree.leaves(sizes))


def _shard_bytes(leaf: jax.ShapeDtypeStruct, sharding: Sharding) -> int:
    return math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize


def _summed_logits(model: AbstractModel) -> Callable[[PyTree, Array], Array]:
    def total(params: PyTree, images: Float[Array, "batch height width 3"]) -> Float[Array, ""]:
        return jnp.sum(nnx.merge(model.graph, params)(images))

    return total


def _images(batch_size: int, image_size: tuple[int, int]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((batch_size, *image_size, 3), jnp.float32)


def _flops(function: Callable, params: PyTree, images: jax.ShapeDtypeStruct) -> float:
    """Asks XLA; NaN on a backend that does not count."""
    analysis = jax.jit(function).lower(params, images).cost_analysis()
    return math.nan if analysis is None else float(analysis["flops"])
