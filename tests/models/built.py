"""Models with fresh parameters, built once for all tests of a process.

They are drawn one operation at a time. A run draws all parameters in one compiled function, which takes a second to
compile for every model; the draws of one shape are compiled once for all models. The numbers differ by rounding.
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PRNGKeyArray, PyTree

from gauss_vit.models import construct
from gauss_vit.models.construct import ModelConfig


def build(config: ModelConfig, key: PRNGKeyArray) -> nnx.Module:
    """Returns a model of its own for the caller, with the parameters that its config draws."""
    graph, params = _parts(config, tuple(jax.random.key_data(key).tolist()))
    return nnx.merge(graph, params)


@functools.cache
def _parts(config: ModelConfig, key_data: tuple[int, ...]) -> tuple[nnx.GraphDef, PyTree]:
    key = jax.random.wrap_key_data(jnp.array(key_data, jnp.uint32))
    graph, _ = construct.abstract(config)
    return graph, nnx.to_pure_dict(nnx.state(config.make(key)))
