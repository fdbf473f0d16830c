"""The region proposal network: whether there is an object at each anchor of a pyramid, and where its box is."""

from dataclasses import dataclass

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.heads.pyramid import Maps
from gauss_vit.models.convolution import BiasedConvolution, PixelClassifier
from gauss_vit.ops.detection.anchors import Anchors
from gauss_vit.ops.detection.matching import RPN as RPN_MATCHING
from gauss_vit.ops.detection.matching import Matching
from gauss_vit.ops.detection.targets import Sampling
from gauss_vit.ops.initializers import normal


@dataclass(frozen=True, kw_only=True)
class RPNHead:
    """Config of a region proposal network.

    Attributes:
      ratios: Height / width of the anchors of a cell.
      scale: Square root of an anchor's area, in cells.
      matching: Thresholds of the overlap of anchors with objects.
      num_samples: Number of anchors of an image that are learned from.
      positive_share: Largest share of these that are matched to objects.
      num_before: Largest number of boxes of a level that suppression compares in training.
      num_before_inference: The same number in inference.
      num_proposals: Number of proposals of an image.
      overlap: Intersection over union above which the worse of two proposals of a level goes.

    Raises:
      ConfigError: a value is out of range.

    Source: Ren et al., Faster R-CNN (2015); values of MMDetection's Mask R-CNN.
    """

    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    scale: float = 8.0
    matching: Matching = RPN_MATCHING
    num_samples: int = 256
    positive_share: float = 0.5
    num_before: int = 2000
    num_before_inference: int = 1000
    num_proposals: int = 1000
    overlap: float = 0.7

    def __post_init__(self):
        for name in ("num_samples", "num_before", "num_before_inference", "num_proposals"):
            if vars(self)[name] < 1:
                raise ConfigError(f"{name} must be at least 1, got {vars(self)[name]}")
        if not 0 < self.positive_share <= 1:
            raise ConfigError(f"positive_share must be in (0, 1], got {self.positive_share}")
        if not 0 <= self.overlap <= 1:
            raise ConfigError(f"overlap must be in [0, 1], got {self.overlap}")
        self.anchors((1,))

    @property
    def sampling(self) -> Sampling:
        """The sample of anchors that is learned from."""
        return Sampling(matching=self.matching, size=self.num_samples, largest_share=self.positive_share)

    def anchors(self, strides: tuple[int, ...]) -> Anchors:
        """Returns the anchors of maps with these strides, in pixels."""
        return Anchors(strides=strides, ratios=self.ratios, scale=self.scale)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class AnchorPredictions:
    """What is predicted at the anchors, by level and in their order: row, column, ratio.

    Attributes:
      logits: tuple of float32 [batch, anchors], logits of an object.
      codes: tuple of float32 [batch, anchors, 4], codes of its box relative to the anchor.
    """

    logits: PyTree
    codes: PyTree


class RPN(nnx.Module):
    """A 3 x 3 `convolution` with ReLU, then a `classifier` and a `regressor` of every anchor, shared by all levels."""

    def __init__(self, config: RPNHead, channels: int, *, key: PRNGKeyArray):
        keys, num_anchors = jax.random.split(key, 3), len(config.ratios)
        self.convolution = BiasedConvolution(normal(keys[0], (3, 3, channels, channels), std=0.01))
        self.classifier = PixelClassifier(channels, num_anchors, key=keys[1])
        self.regressor = PixelClassifier(channels, 4 * num_anchors, key=keys[2])

    def __call__(self, maps: Maps) -> AnchorPredictions:
        """Predicts at all anchors of all maps."""
        logits, codes = zip(*(self._level(each) for each in maps), strict=True)
        return AnchorPredictions(logits=logits, codes=codes)

    def _level(
        self, maps: Float[Array, "batch rows columns channels"]
    ) -> tuple[Float[Array, "batch anchors"], Float[Array, "batch anchors 4"]]:
        hidden = jax.nn.relu(self.convolution(maps))
        batch = len(maps)
        return self.classifier(hidden).reshape(batch, -1), self.regressor(hidden).reshape(batch, -1, 4)
