"""A model from its config value: a backbone, or a network of a backbone and a head."""

from typing import Protocol, runtime_checkable

import jax
from flax import nnx
from jaxtyping import PRNGKeyArray, PyTree


@runtime_checkable
class ModelConfig(Protocol):
    """A model as a frozen value."""

    def make(self, key: PRNGKeyArray) -> object:
        """Draws the parameters; the result is an `nnx.Module`."""
        ...


def build(config: ModelConfig, key: PRNGKeyArray) -> nnx.Module:
    """Makes a model with fresh parameters, drawn in one compiled function."""
    graph, _ = abstract(config)
    return nnx.merge(graph, jax.jit(lambda draw: nnx.split(config.make(draw))[1])(key))


def abstract(config: ModelConfig) -> tuple[nnx.GraphDef, PyTree]:
    """Gives a model's structure and the shapes and types of its parameters as a nested dict, computing nothing."""
    graph, state = nnx.split(nnx.eval_shape(lambda: config.make(jax.random.key(0))))
    return graph, nnx.to_pure_dict(state)
