"""Checks and norms over all arrays of a tree, in few programs: arrays of one shape share a pass.

Arrays of one shape nearly always have the same sharding (`mesh.tree_shardings`), so that a pass needs no communication.
"""

from collections import defaultdict

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, PyTree

from gauss_vit.tree import flatten_paths


def floating(tree: PyTree) -> PyTree:
    """Keeps the floating-point leaves, which may be infinite or NaN."""
    return jax.tree.map(lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jnp.floating) else None, tree)


def first_not_finite(tree: PyTree) -> Int32[Array, ""]:
    """Returns the index of the first leaf with a number that is not finite, or the number of leaves if there is none.

    >>> first_not_finite({"a": jnp.ones(2), "b": jnp.array([1.0, jnp.nan])}).item()
    1
    """
    leaves = jax.tree.leaves(tree)
    first = [_first_of_group(places, leaves) for places in _by_shape(leaves)]
    # Sorted, as XLA would repeat a minimum of so few numbers in every program that reads it.
    return jnp.sort(jnp.asarray([*first, len(leaves)], jnp.float32))[0].astype(jnp.int32)


def global_norm(tree: PyTree) -> Float[Array, ""]:
    """Computes the square root of the sum of all squares, in float32.

    Squares are summed by groups of equal shape, in the order of the paths below the first key (blocks, linear,
    norm, patch_embed): the bits do not depend on whether a parameter belongs to the backbone or to the head.

    >>> global_norm({"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}).item()
    5.0
    """
    paths = flatten_paths(tree)
    leaves = [paths[path] for path in sorted(paths, key=lambda path: path.split(".")[1:])]
    squares = [
        jnp.sum(sum(jnp.square(leaves[place].astype(jnp.float32)) for place in places)) for places in _by_shape(leaves)
    ]
    return jnp.sqrt(sum(squares, jnp.float32(0)))


def _first_of_group(places: list[int], leaves: list[Array]) -> Float[Array, ""]:
    # A minimum of floats is one pass everywhere.
    first = jnp.full(leaves[places[0]].shape, len(leaves), jnp.float32)
    for place in reversed(places):
        first = jax.lax.select(jax.lax.is_finite(leaves[place]), first, jax.lax.full_like(first, place))
    return jnp.min(first, initial=len(leaves))


def _by_shape(leaves: list[Array]) -> list[list[int]]:
    """Returns the indices of leaves of equal shape."""
    groups = defaultdict(list)
    for place, leaf in enumerate(leaves):
        groups[leaf.shape].append(place)
    return list(groups.values())
