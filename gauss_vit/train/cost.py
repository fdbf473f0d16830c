"""The cost of a model, as operations and memory, from shapes and the traced program; nothing is computed."""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend import core
from jax.extend.core import primitives
from jax.sharding import Sharding
from jaxtyping import Array, Float, PyTree

from gauss_vit.train.state import AbstractModel

_ARITHMETIC = frozenset(
    {
        primitives.add_p,
        primitives.add_jaxvals_p,
        primitives.sub_p,
        primitives.mul_p,
        primitives.div_p,
        primitives.neg_p,
        primitives.square_p,
        primitives.max_p,
        primitives.min_p,
        primitives.reduce_sum_p,
        primitives.reduce_max_p,
        primitives.reduce_min_p,
    }
)
"""Primitives that count as one operation for every number that they write or, in a reduction, read."""

_PARTS = frozenset({"split", "reshape", "slice", "squeeze"})
"""Primitives that only select or rearrange parts of arrays."""

_VENDOR_PRODUCTS = {"dot_product_attention_fwd_wrapper": 2, "dot_product_attention_bwd_wrapper": 5}
"""Number of products over all pairs of tokens in cuDNN's attention; its backward pass recomputes the logits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFlops:
    """The floating-point operations of one image; a multiplication and an addition are two.

    Attributes:
      forward: operations of inference.
      backward: operations of the forward and the backward pass together, recomputation included.
    """

    forward: float
    backward: float


def image_flops(model: AbstractModel, image_size: tuple[int, int]) -> ImageFlops:
    """Counts the operations of one image on any backend; every iteration of a loop counts.

    Products and sums count as XLA counts them before it optimises; functions such as exp and erf count nothing.

    Args:
      model: structure and shapes of the model.
      image_size: (height, width) in pixels.
    """
    total, images = _summed_outputs(model), _images(1, image_size)
    return ImageFlops(
        forward=_flops(total, model.params, images),
        backward=_flops(jax.value_and_grad(total), model.params, images),
    )


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
        return functools.reduce(jnp.add, map(jnp.sum, outputs))

    return total


def _images(batch_size: int, image_size: tuple[int, int]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((batch_size, *image_size, 3), jnp.float32)


def _flops(function: Callable, params: PyTree, images: jax.ShapeDtypeStruct) -> float:
    """Counts the operations of a traced function: GPU and TPU backends report them only after compiling."""
    return float(_operations(jax.make_jaxpr(function)(params, images).jaxpr))


def _operations(program: core.Jaxpr) -> int:
    """Counts operations from the last to the first, without those whose results are unused, as compilers drop them."""
    read, count = {id(variable) for variable in program.outvars}, 0
    for equation in reversed(program.eqns):
        if any(id(variable) in read for variable in equation.outvars):
            read |= {id(variable) for variable in equation.invars}
            count += _operations_of(equation)
    return count


def _operations_of(equation: core.JaxprEqn) -> int:
    """Counts one equation: a loop's body as often as it runs, and of branches the one with the most operations."""
    primitive = equation.primitive
    if primitive is primitives.dot_general_p:
        return _product_operations(equation)
    if primitive.name in _VENDOR_PRODUCTS:
        return _VENDOR_PRODUCTS[primitive.name] * _pair_operations(equation)
    if primitive in _ARITHMETIC:
        return max(math.prod(_shape(variable)) for variable in (*equation.invars, *equation.outvars))
    inside = [_operations(program) for program in core.jaxprs_in_params(equation.params)]
    if primitive is primitives.cond_p:
        return max(inside)
    return sum(inside) * (equation.params["length"] if primitive is primitives.scan_p else 1)


def _product_operations(equation: core.JaxprEqn) -> int:
    (summed, _), _ = equation.params["dimension_numbers"]
    shape = _shape(equation.invars[0])
    return 2 * math.prod(_shape(equation.outvars[0])) * math.prod(shape[axis] for axis in summed)


def _pair_operations(equation: core.JaxprEqn) -> int:
    """Counts the operations of one product of queries and keys, both [batch, tokens, heads, channels]."""
    query, key = (_shape(variable) for variable in equation.invars[:2])
    return 2 * math.prod(query) * key[1]


def _shape(variable: core.Var | core.Literal) -> tuple[int, ...]:
    array = variable.aval
    assert isinstance(array, jax.core.ShapedArray), "numbers are computed of numbers"
    return array.shape
