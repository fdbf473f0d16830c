"""The classifier of distilled DeiT: two linear maps, whose logits are averaged."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.models.layers import Linear
from gauss_vit.ops.dropout import dropout, split_key


@dataclass(frozen=True, kw_only=True)
class DistilledHead:
    """Config of a classifier of the class token and another one of the distillation token.

    Attributes:
      num_classes: Number of classes.
      dropout: Dropout rate of both tokens in training.

    Raises:
      ConfigError: a value is out of range.

    Source: Touvron et al., DeiT (ICML 2021), section 4; timm `VisionTransformerDistilled`, whose output at inference is
    the mean of both. Here it is the mean in training too: there is no teacher.
    """

    num_classes: int = 1000
    dropout: float = 0.0

    def __post_init__(self):
        if self.num_classes < 1:
            raise ConfigError(f"num_classes must be at least 1, got {self.num_classes}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")

    def make(self, backbone: BackboneConfig, *, key: PRNGKeyArray) -> "DistilledClassifier":
        """Builds the head for a backbone with a distillation token, with random parameters.

        Raises:
          ConfigError: the backbone has no distillation token.
        """
        if not vars(backbone).get("distillation_token", False):
            raise ConfigError("DistilledHead needs a backbone with a distillation token", do="use LinearHead")
        return DistilledClassifier(self, backbone, key=key)


class DistilledClassifier(nnx.Module):
    """Mean of two linear maps: `class_linear` of the class token, `distillation_linear` of the distillation token."""

    def __init__(self, config: DistilledHead, backbone: BackboneConfig, *, key: PRNGKeyArray):
        class_key, distillation_key = jax.random.split(key)
        channels, start = backbone.num_features, backbone.dense_init
        self.class_linear = Linear(channels, config.num_classes, start=start, key=class_key)
        self.distillation_linear = Linear(channels, config.num_classes, start=start, key=distillation_key)
        self.dropout = config.dropout

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch classes"]:
        """Computes float32 logits of normalised images; a key enables dropout and stochastic depth."""
        features_key, dropout_key = split_key(key, 2)
        tokens = dropout(backbone.features(images, key=features_key).prefix, rate=self.dropout, key=dropout_key)
        logits = self.class_linear(tokens[:, 0]), self.distillation_linear(tokens[:, 1])
        return (logits[0].astype(jnp.float32) + logits[1].astype(jnp.float32)) / 2
