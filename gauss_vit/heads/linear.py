"""The linear classifier on pooled features."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.models.layers import Linear
from gauss_vit.ops.dropout import dropout, split_key


@dataclass(frozen=True, kw_only=True)
class LinearHead:
    """Config of a linear classifier.

    Attributes:
      num_classes: Number of classes; None takes it from the data when a run starts, which stores it.
      dropout: Dropout rate of the pooled features in training.

    Raises:
      ConfigError: a value is out of range.
    """

    num_classes: int | None = 1000
    dropout: float = 0.0

    def __post_init__(self):
        if self.num_classes is not None and self.num_classes < 1:
            raise ConfigError(f"num_classes must be at least 1, got {self.num_classes}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")

    def make(self, backbone: BackboneConfig, *, key: PRNGKeyArray) -> "LinearClassifier":
        """Builds the head for a backbone, with random parameters."""
        return LinearClassifier(self, backbone, key=key)


class LinearClassifier(nnx.Module):
    """Logits as a linear map of the pooled features: `linear.kernel` [channels, classes], `linear.bias` [classes]."""

    def __init__(self, config: LinearHead, backbone: BackboneConfig, *, key: PRNGKeyArray):
        if config.num_classes is None:
            message = "task.head.num_classes is None, to be taken from the data, which are not read here"
            raise ConfigError(message, do="set it, or use the run's own config, --config=WORKDIR/config.json")
        self.linear = Linear(backbone.num_features, config.num_classes, start=backbone.dense_init, key=key)
        self.dropout = config.dropout

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch classes"]:
        """Computes float32 logits of normalised images; a key enables dropout and stochastic depth."""
        features_key, dropout_key = split_key(key, 2)
        pooled = backbone.features(images, key=features_key).pooled
        return self.linear(dropout(pooled, rate=self.dropout, key=dropout_key)).astype(jnp.float32)
