"""The linear classifier of every patch, for segmentation: what a map of features says without a decoder."""

from dataclasses import dataclass

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.models.convolution import PixelClassifier


@dataclass(frozen=True, kw_only=True)
class LinearPixelHead:
    """Config of a linear classifier of the last features of every patch, after the backbone's norm.

    It measures features rather than a decoder, usually with a frozen backbone
    (`optimizer.learning_rate_scale.frozen`).

    Attributes:
      num_classes: Number of classes; None takes it from the data when a run starts, which stores it.

    Raises:
      ConfigError: there are no classes.

    Source: Oquab et al., DINOv2 (TMLR 2024), section 7.4, "linear", without its batch normalisation.
    """

    num_classes: int | None = 150

    def __post_init__(self):
        if self.num_classes is not None and self.num_classes < 1:
            raise ConfigError(f"num_classes must be at least 1, got {self.num_classes}")

    def make(self, backbone: BackboneConfig, *, key: PRNGKeyArray) -> "LinearPixels":
        """Builds the head for a backbone, with random parameters."""
        return LinearPixels(self, backbone, key=key)


class LinearPixels(nnx.Module):
    """Logits as a linear map of every patch's features: `classifier`."""

    def __init__(self, config: LinearPixelHead, backbone: BackboneConfig, *, key: PRNGKeyArray):
        if config.num_classes is None:
            message = "task.head.num_classes is None, to be taken from the data, which are not read here"
            raise ConfigError(message, do="set it, or use the run's own config, --config=WORKDIR/config.json")
        self.classifier = PixelClassifier(backbone.num_features, config.num_classes, key=key)
        self.depth = backbone.depth

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> DenseLogits:
        """Computes the logits of normalised images at their patches; a key enables dropout and stochastic depth."""
        return DenseLogits(logits=self.classifier(self._maps(backbone, images, key=key)))

    def features(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map that the classifier reads."""
        return self._maps(backbone, images, key=None)

    def _maps(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "batch rows columns channels"]:
        (last,) = backbone.maps(images, (self.depth,), key=key)
        return backbone.norm(last)
