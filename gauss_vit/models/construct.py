"""A model from its config value: a backbone, or a network of a backbone and a head."""

from collections.abc import Callable
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


Make = Callable[[PRNGKeyArray], object]
"""A function of a key to an `nnx.Module` with drawn parameters, such as `ModelConfig.make`."""


def build(config: ModelConfig, key: PRNGKeyArray) -> nnx.Module:
    """Builds a model with drawn parameters, in one compiled function."""
    graph, _ = abstract(config)
    return nnx.merge(graph, jax.jit(lambda key: nnx.split(config.make(key))[1])(key))


def abstract(config: ModelConfig) -> tuple[nnx.GraphDef, PyTree]:
    """Finds the structure of a model, and the shapes and types of its parameters as a nested dict; computes nothing."""
    return abstract_of(config.make)


def abstract_of(make: Make) -> tuple[nnx.GraphDef, PyTree]:
    """Finds the structure and the parameters' shapes and types of what a function makes; computes nothing."""
    graph, state = nnx.split(nnx.eval_shape(lambda: make(jax.random.key(0))))
    return graph, nnx.to_pure_dict(state)


def draw(make: Make, key: PRNGKeyArray) -> PyTree:
    """Draws parameters as a nested dict; to be compiled by the caller, with the shardings that it wants."""
    return nnx.to_pure_dict(nnx.state(make(key)))
