"""The box head: the class of each region, and the box of every class relative to it."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.models.layers import Linear
from gauss_vit.ops.channels import shift_channels
from gauss_vit.ops.detection.matching import BOX_HEAD, Matching
from gauss_vit.ops.detection.targets import Sampling
from gauss_vit.ops.einsum import einsum
from gauss_vit.ops.initializers import normal
from gauss_vit.ops.placement import placed


@dataclass(frozen=True, kw_only=True)
class BoxHead:
    """Config of two dense layers on the features of a region, and of what is learned and found with them.

    Attributes:
      hidden: Number of channels of both layers.
      bins: Number of bins along each side of a region.
      matching: Thresholds of the overlap of regions with objects.
      num_samples: Number of regions of an image that are learned from.
      positive_share: Largest share of these that are matched to objects.
      score_floor: Probability that a detection has to exceed.
      overlap: Intersection over union above which the worse of two detections of a class goes.
      num_candidates: Largest number of pairs of a region and a class that suppression compares.
      limit: Largest number of detections of an image.

    Raises:
      ConfigError: a value is out of range.

    Source: He et al., Mask R-CNN (ICCV 2017); MMDetection `Shared2FCBBoxHead` and the values of its Mask R-CNN.
    """

    hidden: int = 1024
    bins: int = 7
    matching: Matching = BOX_HEAD
    num_samples: int = 512
    positive_share: float = 0.25
    score_floor: float = 0.05
    overlap: float = 0.5
    num_candidates: int = 5000
    limit: int = 100

    def __post_init__(self):
        for name in ("hidden", "bins", "num_samples", "num_candidates", "limit"):
            if vars(self)[name] < 1:
                raise ConfigError(f"{name} must be at least 1, got {vars(self)[name]}")
        if not 0 < self.positive_share <= 1:
            raise ConfigError(f"positive_share must be in (0, 1], got {self.positive_share}")
        for name in ("score_floor", "overlap"):
            if not 0 <= vars(self)[name] <= 1:
                raise ConfigError(f"{name} must be in [0, 1], got {vars(self)[name]}")

    @property
    def sampling(self) -> Sampling:
        """The sample of regions that is learned from."""
        return Sampling(matching=self.matching, size=self.num_samples, largest_share=self.positive_share)


class BoxPredictor(nnx.Module):
    """Dense layers `fc1` and `fc2` with ReLU on all bins, then a `classifier` and a `regressor` of every class."""

    def __init__(self, config: BoxHead, channels: int, *, num_classes: int, key: PRNGKeyArray):
        keys, hidden = jax.random.split(key, 4), config.hidden
        self.fc1 = Linear(config.bins**2 * channels, hidden, start="xavier_uniform", key=keys[0])
        self.fc2 = Linear(hidden, hidden, start="xavier_uniform", key=keys[1])
        self.classifier = RegionOutputs(hidden, num_classes + 1, std=0.01, key=keys[2])
        self.regressor = RegionOutputs(hidden, 4 * num_classes, std=0.001, key=keys[3])
        self.bins, self.num_classes = config.bins, num_classes

    def __call__(
        self, features: Float[Array, "batch boxes bins bins channels"]
    ) -> tuple[Float[Array, "batch boxes outputs"], Float[Array, "batch boxes classes 4"]]:
        """Computes float32 logits, background last, and the code of every class's box relative to the region."""
        hidden = features.reshape(*features.shape[:2], -1)
        hidden = jax.nn.relu(self.fc2(jax.nn.relu(self.fc1(hidden))))
        return self.classifier(hidden), self.regressor(hidden).reshape(*hidden.shape[:2], -1, 4)


class RegionOutputs(nnx.Module):
    """A linear map of every region to float32 numbers: `kernel` [inputs, outputs], normal of mean 0, `bias`."""

    def __init__(self, inputs: int, outputs: int, *, std: float, key: PRNGKeyArray):
        self.kernel = nnx.Param(normal(key, (inputs, outputs), std=std))
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))

    def __call__(self, hidden: Float[Array, "batch boxes inputs"]) -> Float[Array, "batch boxes outputs"]:
        """Applies the layer."""
        outputs = einsum("bnc,ck->bnk", hidden, placed(self.kernel[...]), dtype=jnp.float32)
        return shift_channels(placed(outputs, "batch"), self.bias[...])
