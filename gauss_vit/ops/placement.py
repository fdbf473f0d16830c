"""Where the arrays of a step are on the mesh in use: examples over batch axes, heads and hidden channels over `tensor`.

The mesh in use is JAX's own: the compiled steps enter it (`jax.sharding.use_abstract_mesh`), it is part of what a
program is traced and cached for, and a constraint without it is meaningless to JAX as well. It is read in this module
alone. Outside such steps, on a mesh with other axes, and within a function that runs on shards already, nothing is
placed; nor is it where only a batch is split, which compilers do well by themselves. Where parameters are split, they
would split the sums over channels too, and send activations, which are larger, in place of parameters.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import jax
from jax.sharding import AbstractMesh, AxisType, PartitionSpec
from jaxtyping import Array, Float

from gauss_vit.batches import BATCH_AXES

TENSOR = "tensor"
"""Axis of a mesh that heads and hidden channels are split over."""

AXES = (*BATCH_AXES, TENSOR)
"""Axes of a mesh, from the one with the slowest network to the one with the fastest."""

Dimension = Literal["batch", "heads"] | None
"""What an axis of an array counts: examples; heads, channels grouped by heads, or hidden channels; or anything else,
which is whole on every device."""


def splits_heads() -> bool:
    """Returns whether heads and hidden channels are split over several devices of the mesh in use."""
    mesh = _mesh_in_use()
    return mesh is not None and mesh.shape[TENSOR] > 1


def splits_anything() -> bool:
    """Returns whether the mesh in use has several devices."""
    mesh = _mesh_in_use()
    return mesh is not None and mesh.size > 1


def placed(array: Float[Array, "..."], *dimensions: Dimension) -> Float[Array, "..."]:
    """Returns the array, placed by what its axes count where parameters are split; last axes may be left out."""
    mesh = _mesh_in_use()
    if mesh is None or mesh.shape["fsdp"] == mesh.shape[TENSOR] == 1:
        return array
    return jax.lax.with_sharding_constraint(array, _spec(dimensions))


def on_shards(
    function: Callable[..., Array], dimensions: Sequence[Sequence[Dimension]], result: Sequence[Dimension]
) -> Callable[..., Array]:
    """Wraps a function that needs no communication, so that each device of the mesh in use applies it to its own part.

    Compilers need not understand what is inside, such as a kernel of a vendor or axes that are merged.

    Args:
      function: Function of arrays, any of which may be None.
      dimensions: What the axes of each array count; an array is not to have the axis if its size there is 1.
      result: What the axes of the result count.
    """
    specs = tuple(_spec(each) for each in dimensions)
    # Without the check, the gradient of an array that is whole on several devices is summed over them at the border.
    return jax.shard_map(function, in_specs=specs, out_specs=_spec(result), check_vma=False)


def _spec(dimensions: Sequence[Dimension]) -> PartitionSpec:
    axes = {"batch": BATCH_AXES, "heads": TENSOR, None: None}
    return PartitionSpec(*(axes[dimension] for dimension in dimensions))


def _mesh_in_use() -> AbstractMesh | None:
    mesh = jax.sharding.get_abstract_mesh()
    is_ours = mesh.axis_names == AXES and set(mesh.axis_types) == {AxisType.Auto}
    return mesh if is_ours else None
