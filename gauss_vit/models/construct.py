"""Builds a model from its config: a backbone, or a network of a backbone and a head."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
from flax import nnx
from jaxtyping import PRNGKeyArray, PyTree

from gauss_vit.compilation import jit_once


@runtime_checkable
class ModelConfig(Protocol):
    """The config of a model, as a frozen value."""

    def make(self, key: PRNGKeyArray) -> object:
        """Builds the model, an `nnx.Module`, with newly drawn parameters."""
        ...


Make = Callable[[PRNGKeyArray], object]
"""A function from a random key to an `nnx.Module` with newly drawn parameters, such as `ModelConfig.make`."""


def build(config: ModelConfig, key: PRNGKeyArray) -> nnx.Module:
    """Builds a model with newly drawn parameters, in one compiled function."""
    graph, _ = abstract(config)
    return nnx.merge(graph, jit_once(lambda key: nnx.split(config.make(key))[1])(key))


def abstract(config: ModelConfig) -> tuple[nnx.GraphDef, PyTree]:
    """Returns the structure of a model, and its parameters' shapes and dtypes as a nested dict; draws no parameters."""
    return abstract_of(config.make)


def abstract_of(make: Make) -> tuple[nnx.GraphDef, PyTree]:
    """Returns the same as `abstract` for the module that a function builds."""
    graph, state = nnx.split(nnx.eval_shape(lambda: make(jax.random.key(0))))
    return graph, nnx.to_pure_dict(state)


def draw(make: Make, key: PRNGKeyArray) -> PyTree:
    """Draws parameters as a nested dict; the caller compiles it, with its own output shardings."""
    return nnx.to_pure_dict(nnx.state(make(key)))
