"""UPerNet: a pyramid's maps, pooled, fused from coarse to fine, and classified pixel by pixel."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.heads.fcn import FCNHead
from gauss_vit.heads.inference import Inference
from gauss_vit.heads.pyramid import Maps, make_pyramid
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.models.convolution import ConvolutionBlock, PixelClassifier
from gauss_vit.ops.dropout import dropout_channels, split_key
from gauss_vit.ops.map_resize import adaptive_average_pool, bilinear_resize, size_of

_AUXILIARY, _INFERENCE = FCNHead(), Inference()


@dataclass(frozen=True, kw_only=True)
class UPerNetHead:
    """Config of a UPerNet.

    Attributes:
      num_classes: Number of classes; None takes it from the data when a run starts, which stores it.
      channels: Number of channels of every convolution.
      pool_scales: Sides of the grids that the coarsest map is averaged over.
      dropout: Share of the channels before the classifier that are dropped in training.
      auxiliary: Head on a map of the backbone whose loss is added in training; None for none.
      inference: What is predicted from: the whole image or windows of it, at which scales, flipped or not.

    Raises:
      ConfigError: a value is out of range.

    Source: Xiao et al., Unified Perceptual Parsing (ECCV 2018); MMSegmentation's `UPerHead`.
    """

    num_classes: int | None = 150
    channels: int = 512
    pool_scales: tuple[int, ...] = (1, 2, 3, 6)
    dropout: float = 0.1
    auxiliary: FCNHead | None = _AUXILIARY
    inference: Inference = _INFERENCE

    def __post_init__(self):
        if self.num_classes is not None and self.num_classes < 1:
            raise ConfigError(f"num_classes must be at least 1, got {self.num_classes}")
        if min((self.channels, *self.pool_scales)) < 1:
            raise ConfigError(f"channels and pool_scales must be at least 1, got {self.channels}, {self.pool_scales}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")

    def make(self, backbone: BackboneConfig, *, key: PRNGKeyArray) -> "UPerNet":
        """Builds the head for a backbone, with random parameters."""
        return UPerNet(self, backbone, key=key)


class UPerNet(nnx.Module):
    """Maps of several resolutions, fused into one.

    Parameters: `pyramid`; `pooling.<index>` of each pool scale, `bottleneck` of these and the coarsest map together;
    `laterals.<level>` and `smoothing.<level>` of all other levels; `fusion`; `classifier`; `auxiliary`. All but the
    pyramid and the classifiers are convolutions with batch normalisation and ReLU.
    """

    def __init__(self, config: UPerNetHead, backbone: BackboneConfig, *, key: PRNGKeyArray):
        num_classes, auxiliary = config.num_classes, config.auxiliary
        if num_classes is None:
            message = "task.head.num_classes is None, to be taken from the data, which are not read here"
            raise ConfigError(message, do="set it, or use the run's own config, --config=WORKDIR/config.json")
        pyramid_key, pooling_key, laterals_key, smoothing_key, *keys = jax.random.split(key, 8)
        self.pyramid = make_pyramid(backbone, key=pyramid_key)
        widths = self.pyramid.widths
        *finer, last = widths
        channels, num_pools = config.channels, len(config.pool_scales)
        self.pooling = nnx.Dict(_blocks([last] * num_pools, channels, size=1, key=pooling_key))
        self.bottleneck = ConvolutionBlock(last + num_pools * channels, channels, size=3, key=keys[0])
        self.laterals = nnx.Dict(_blocks(finer, channels, size=1, key=laterals_key))
        self.smoothing = nnx.Dict(_blocks([channels] * len(finer), channels, size=3, key=smoothing_key))
        self.fusion = ConvolutionBlock((len(finer) + 1) * channels, channels, size=3, key=keys[1])
        self.classifier = PixelClassifier(channels, num_classes, key=keys[2])
        self.auxiliary = None if auxiliary is None else auxiliary.make(widths, num_classes=num_classes, key=keys[3])
        self.config = config

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> DenseLogits:
        """Computes the logits of normalised images: with a key as in training, otherwise as `inference` says."""
        if key is not None:
            return self.decode(backbone, images, key=key)
        return self.config.inference.run(lambda views: self.decode(backbone, views), images)

    def decode(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> DenseLogits:
        """Computes the logits of images as they are, at the resolution of the finest map."""
        pyramid_key, head_key, auxiliary_key = split_key(key, 3)
        maps = self.pyramid(backbone, images, key=pyramid_key)
        features = dropout_channels(self.fuse(maps, key=head_key), rate=self.config.dropout, key=head_key)
        auxiliary = None if self.auxiliary is None else self.auxiliary(maps, key=auxiliary_key)
        return DenseLogits(logits=self.classifier(features), auxiliary=auxiliary)

    def features(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the map that the classifier reads."""
        return self.fuse(self.pyramid(backbone, images))

    def fuse(self, maps: Maps, *, key: PRNGKeyArray | None = None) -> Float[Array, "batch rows columns channels"]:
        """Fuses the maps of the pyramid at the resolution of the finest; with a key, by statistics of the batch."""
        *finer, last = maps
        coarser = self._pooled(last, key=key)
        smooth = [coarser]
        for level in reversed(range(len(finer))):
            lateral = self.laterals[str(level)](finer[level], key=key)
            coarser = lateral + bilinear_resize(coarser, size_of(lateral))
            smooth = [self.smoothing[str(level)](coarser, key=key), *smooth]
        finest = size_of(coarser)
        return self.fusion(_joined([bilinear_resize(each, finest) for each in smooth]), key=key)

    def _pooled(
        self, maps: Float[Array, "batch rows columns inputs"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "batch rows columns channels"]:
        """Joins averages over grids of several scales to the coarsest map."""
        pools = [
            self.pooling[str(index)](adaptive_average_pool(maps, (scale, scale)), key=key)
            for index, scale in enumerate(self.config.pool_scales)
        ]
        return self.bottleneck(_joined([maps, *(bilinear_resize(pool, size_of(maps)) for pool in pools)]), key=key)


def _blocks(inputs: list[int], outputs: int, *, size: int, key: PRNGKeyArray) -> dict[str, ConvolutionBlock]:
    """Builds a block for each number of inputs, by index."""
    keys = jax.random.split(key, len(inputs))
    return {
        str(index): ConvolutionBlock(channels, outputs, size=size, key=keys[index])
        for index, channels in enumerate(inputs)
    }


def _joined(maps: list[Float[Array, "batch rows columns _"]]) -> Float[Array, "batch rows columns channels"]:
    return jnp.concatenate(maps, axis=-1)
