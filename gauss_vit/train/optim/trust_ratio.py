"""The trust ratio of LAMB for parameters that may be stacked over blocks."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from gauss_vit.train.optim.lr_scale import stack_depths
from gauss_vit.tree import flatten_paths, path_of


def scale_by_trust_ratio(params: PyTree) -> optax.GradientTransformation:
    """Scales each array's update to the array's own norm; every block of a stack is an array of its own.

    `optax.scale_by_trust_ratio` takes one norm over a whole stack, which is a different algorithm.

    Args:
      params: nested dict of parameters, or of their shapes; only structure and paths are read.
    """
    depths = stack_depths({path: tuple(leaf.shape) for path, leaf in flatten_paths(params).items()})
    stacks = tuple(f"{stack}." for stack in depths)

    def scale_one(
        key_path: Sequence[jax.tree_util.KeyEntry], update: Float[Array, "..."], param: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        return update * _ratio(param, update, is_stacked=path_of(key_path).startswith(stacks))

    return optax.stateless(lambda updates, params: jax.tree_util.tree_map_with_path(scale_one, updates, params))


def _ratio(param: Float[Array, "..."], update: Float[Array, "..."], *, is_stacked: bool) -> Float[Array, "..."]:
    """Divides the norms, per block of a stack; 1 where either is 0."""
    axes = tuple(range(1 if is_stacked else 0, param.ndim))
    weight, step = (jnp.sqrt(jnp.sum(jnp.square(leaf), axis=axes, keepdims=True)) for leaf in (param, update))
    is_live = (weight > 0.0) & (step > 0.0)
    ratio = jnp.where(is_live, weight / jnp.where(is_live, step, 1.0), 1.0)
    return jax.lax.broadcast_in_dim(ratio, update.shape, tuple(range(update.ndim)))
