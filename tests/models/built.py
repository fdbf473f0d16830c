"""Models with fresh parameters, built once for all tests of a process: compiling their random draws takes seconds."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PRNGKeyArray, PyTree

from gauss_vit.models import construct
from gauss_vit.models.construct import ModelConfig


def build(config: ModelConfig, key: PRNGKeyArray) -> nnx.Module:
    """Returns a model of its own for the caller, with the parameters that `construct.build` draws."""
    graph, params = _parts(config, tuple(jax.random.key_data(key).tolist()))
    return nnx.merge(graph, params)


@functools.cache
def _parts(config: ModelConfig, key_data: tuple[int, ...]) -> tuple[nnx.GraphDef, PyTree]:
    key = jax.random.wrap_key_data(jnp.array(key_data, jnp.uint32))
    graph, state = nnx.split(construct.build(config, key))
    return graph, nnx.to_pure_dict(state)
