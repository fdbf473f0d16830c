"""The cost of a model, as operations and memory, from shapes and the traced program; nothing is computed."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Sharding
from jaxtyping import Array, Float, PyTree

from gauss_vit.train.operations import multiply_adds_by_part, operations
from gauss_vit.train.state import AbstractModel
from gauss_vit.tree import flatten_paths

_PARTS = frozenset({"split", "reshape", "slice", "squeeze"})
"""Primitives that only select or rearrange parts of arrays."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFlops:
    """The operations of one image.

    Attributes:
      forward: Floating-point operations of inference; a multiplication and an addition are two.
      backward: Those of the forward and the backward pass together, recomputation included.
      multiply_adds: Multiplications of products and convolutions in inference, as papers count, by the part of the
        network (`part_of`).
    """

    forward: float
    backward: float
    multiply_adds: Mapping[str, float]


def image_flops(model: AbstractModel, image_size: tuple[int, int]) -> ImageFlops:
    """Counts the operations of one image, as `train.operations` does.

    Args:
      model: structure and shapes of the model.
      image_size: (height, width) in pixels.
    """
    total, images = _summed_outputs(model), _images(1, image_size)
    forward = jax.make_jaxpr(total)(model.params, images).jaxpr
    parts = [part_of(path) for path in flatten_paths(model.params)]
    backward = jax.make_jaxpr(jax.value_and_grad(total))(model.params, images).jaxpr
    return ImageFlops(
        forward=float(operations(forward)),
        backward=float(operations(backward)),
        multiply_adds={name: float(count) for name, count in multiply_adds_by_part(forward, [*parts, None]).items()},
    )


def part_of(path: str) -> str:
    """Names the part of a network that a parameter belongs to: the backbone, the head, or a module of the head.

    >>> part_of("backbone.blocks.0.mlp.kernel"), part_of("head.fpn.laterals.0.kernel"), part_of("head.kernel")
    ('backbone', 'head.fpn', 'head')
    """
    root, *inner = path.split(".")
    return f"{root}.{inner[0]}" if root == "head" and len(inner) > 1 else root


def activation_bytes(model: AbstractModel, image_size: tuple[int, int], *, batch_size: int) -> int:
    """Computes the bytes that the forward pass of a batch keeps for the backward pass; compiler fusion can need less.

    It is what the pullback holds besides the parameters and the images.

    Args:
      model: structure and shapes of the model.
      image_size: (height, width) in pixels.
      batch_size: images on one device.
    """
    total = _summed_outputs(model)
    images = _images(batch_size, image_size)
    jaxpr = jax.make_jaxpr(lambda params, images: jax.vjp(total, params, images)[1])(model.params, images).jaxpr
    known = {id(variable) for variable in (*jaxpr.invars, *jaxpr.constvars)}
    for equation in jaxpr.eqns:
        # Parts of parameters, such as those of a block that is compiled for itself.
        if equation.primitive.name in _PARTS and all(id(variable) in known for variable in equation.invars):
            known |= {id(variable) for variable in equation.outvars}
    kept = {id(variable): variable.aval for variable in jaxpr.outvars if id(variable) not in known}
    return sum(math.prod(aval.shape) * aval.dtype.itemsize for aval in kept.values())


def device_bytes(tree: PyTree, shardings: PyTree) -> int:
    """Computes the bytes that one device holds of a tree of arrays.

    Args:
      tree: arrays or their shapes.
      shardings: sharding of every leaf; the mesh may be abstract.
    """
    sizes = jax.tree.map(_shard_bytes, tree, shardings)
    return sum(jax.tree.leaves(sizes))


def _shard_bytes(leaf: jax.ShapeDtypeStruct, sharding: Sharding) -> int:
    return math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize


def _summed_outputs(model: AbstractModel) -> Callable[[PyTree, Array], Array]:
    def total(params: PyTree, images: Float[Array, "batch height width 3"]) -> Float[Array, ""]:
        outputs = jax.tree.leaves(nnx.merge(model.graph, params)(images))
        return functools.reduce(
            jnp.add, [jnp.sum(each) for each in outputs if jnp.issubdtype(each.dtype, jnp.floating)]
        )

    return total


def _images(batch_size: int, image_size: tuple[int, int]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((batch_size, *image_size, 3), jnp.float32)
