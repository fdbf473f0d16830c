"""The mask head: which cells of a region belong to an object of each class."""

import math
from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.models.convolution import BiasedConvolution, PixelClassifier, Upsampling
from gauss_vit.ops.initializers import kaiming_normal


@dataclass(frozen=True, kw_only=True)
class MaskHead:
    """Config of convolutions on the features of a region.

    Attributes:
      channels: Number of channels of every convolution.
      num_convolutions: Number of 3 x 3 convolutions.
      bins: Number of bins along each side of a region; its mask has twice as many cells.

    Raises:
      ConfigError: a value is out of range.

    Source: He et al., Mask R-CNN (ICCV 2017); MMDetection `FCNMaskHead`.
    """

    channels: int = 256
    num_convolutions: int = 4
    bins: int = 14

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")


class MaskPredictor(nnx.Module):
    """3 x 3 `convolutions.<index>`, an `upsampling` to twice the sides, both with ReLU, and a `classifier` of cells."""

    def __init__(self, config: MaskHead, inputs: int, *, num_classes: int, key: PRNGKeyArray):
        *keys, upsampling_key, classifier_key = jax.random.split(key, config.num_convolutions + 2)
        channels = config.channels
        widths = (inputs, *[channels] * config.num_convolutions)
        self.convolutions = nnx.Dict(
            {
                str(index): BiasedConvolution(kaiming_normal(each, (3, 3, widths[index], channels)))
                for index, each in enumerate(keys)
            }
        )
        self.upsampling = Upsampling(kaiming_normal(upsampling_key, (2, 2, channels, channels)))
        # Kaiming's too, whose fan-out is the number of classes.
        self.classifier = PixelClassifier(channels, num_classes, std=math.sqrt(2 / num_classes), key=classifier_key)
        self.bins = config.bins

    def __call__(
        self, features: Float[Array, "batch boxes bins bins channels"]
    ) -> Float[Array, "batch boxes cells cells classes"]:
        """Computes float32 logits of every class."""
        maps = features.reshape(-1, *features.shape[2:])
        for index in range(len(self.convolutions)):
            maps = jax.nn.relu(self.convolutions[str(index)](maps))
        logits = self.classifier(jax.nn.relu(self.upsampling(maps)))
        return logits.reshape(*features.shape[:2], *logits.shape[1:])
