"""The fully convolutional head on one map, as an auxiliary classifier of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.models.convolution import ConvolutionBlock, PixelClassifier
from gauss_vit.ops.dropout import dropout_channels


@dataclass(frozen=True, kw_only=True)
class FCNHead:
    """Config of convolutions and a classifier of pixels on one level of a pyramid.

    Attributes:
      level: Index of the level, from the finest, or from the coarsest where negative.
      channels: Number of channels of the convolutions.
      num_convolutions: Number of 3 x 3 convolutions, each with batch normalisation and ReLU.
      dropout: Share of the channels before the classifier that are dropped in training.

    Raises:
      ConfigError: a value is out of range.

    Source: Long et al., Fully Convolutional Networks (CVPR 2015); MMSegmentation's `FCNHead`, as its configs of UPerNet
    set it.
    """

    level: int = -2
    channels: int = 256
    num_convolutions: int = 1
    dropout: float = 0.1

    def __post_init__(self):
        if self.channels < 1 or self.num_convolutions < 1:
            counts = f"{self.channels} and {self.num_convolutions}"
            raise ConfigError(f"channels and num_convolutions must be at least 1, got {counts}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")

    def make(self, widths: Sequence[int], *, num_classes: int, key: PRNGKeyArray) -> "FCN":
        """Builds the head, with random parameters.

        Args:
          widths: Number of channels of each level of the pyramid.
          num_classes: Number of classes.
          key: Random key.

        Raises:
          ConfigError: there is no such level.
        """
        if not -len(widths) <= self.level < len(widths):
            raise ConfigError(f"there is no level {self.level} in a pyramid of {len(widths)}")
        return FCN(self, widths[self.level], num_classes=num_classes, key=key)


class FCN(nnx.Module):
    """Convolutions and a classifier: `convolutions.<index>` and `classifier`."""

    def __init__(self, config: FCNHead, inputs: int, *, num_classes: int, key: PRNGKeyArray):
        *keys, classifier_key = jax.random.split(key, config.num_convolutions + 1)
        widths = (inputs, *[config.channels] * config.num_convolutions)
        self.convolutions = nnx.Dict(
            {
                str(index): ConvolutionBlock(widths[index], config.channels, size=3, key=each)
                for index, each in enumerate(keys)
            }
        )
        self.classifier = PixelClassifier(config.channels, num_classes, key=classifier_key)
        self.config = config

    def __call__(
        self, pyramid: Sequence[Float[Array, "batch _ _ _"]], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch rows columns classes"]:
        """Computes float32 logits at the pixels of its level; a key means training."""
        maps = pyramid[self.config.level]
        for index in range(self.config.num_convolutions):
            maps = self.convolutions[str(index)](maps, key=key)
        return self.classifier(dropout_channels(maps, rate=self.config.dropout, key=key))
