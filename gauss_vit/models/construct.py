"""Makes any model from its config value."""

from typing import Protocol, runtime_checkable

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.models.features import AttentionInputs, Features, Intermediates


@runtime_checkable
class Model(Protocol):
    """What every model of images computes; `key=None` means inference."""

    def __call__(
        self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch classes"]:
        """Computes float32 logits of normalised images."""
        ...

    def features(self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None) -> Features:
        """Computes the feature maps at the end of the trunk."""
        ...

    def intermediates(self, images: Float[Array, "batch height width 3"]) -> tuple[Intermediates, ...]:
        """Computes what every block does, blocks of equal shape together and in order."""
        ...

    def attention_inputs(self, images: Float[Array, "batch height width 3"]) -> tuple[AttentionInputs, ...]:
        """Gives every attention layer with what enters it, layers of equal shape together."""
        ...


@runtime_checkable
class ModelConfig(Protocol):
    """A model as a frozen value."""

    def make(self, key: PRNGKeyArray) -> nnx.Module:
        """Makes the model with fresh parameters."""
        ...


def build(config: ModelConfig, key: PRNGKeyArray) -> nnx.Module:
    """Makes a model with fresh parameters, drawn in one compiled function."""
    graph, _ = abstract(config)
    return nnx.merge(graph, jax.jit(lambda draw: nnx.split(config.make(draw))[1])(key))


def abstract(config: ModelConfig) -> tuple[nnx.GraphDef, PyTree]:
    """Gives a model's structure and the shapes and types of its parameters as a nested dict, computing nothing."""
    graph, state = nnx.split(nnx.eval_shape(lambda: config.make(jax.random.key(0))))
    return graph, nnx.to_pure_dict(state)
