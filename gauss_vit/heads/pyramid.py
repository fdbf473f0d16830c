"""A backbone's feature maps at several resolutions, the finest first, as heads of dense tasks read them."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.models.convolution import Upsampling
from gauss_vit.models.layers import LayerNorm
from gauss_vit.ops.activation import gelu
from gauss_vit.ops.initializers import fan_in_uniform

Maps = tuple[Float[Array, "batch _ _ _"], ...]

_EPSILON = 1e-5


def make_pyramid(backbone: BackboneConfig, *, key: PRNGKeyArray) -> "StagePyramid | SimplePyramid":
    """Builds the pyramid of a backbone: of its stages, or of its only map where it has one stage."""
    if len(backbone.stages()) == 1:
        return SimplePyramid(backbone, key=key)
    return StagePyramid(backbone)


def strides_of(backbone: BackboneConfig) -> tuple[int, ...]:
    """Returns the pixels of a cell of each map of a backbone's pyramid.

    Raises:
      ConfigError: a cell is not a square of whole pixels.
    """
    patches = [stage.patch_size for stage in backbone.stages()]
    if len(patches) == 1:
        (height, width) = patches[0]
        patches = [(height / 4, width / 4), (height / 2, width / 2), (height, width), (2 * height, 2 * width)]
    if any(height != width or height != int(height) for height, width in patches):
        raise ConfigError(
            f"the cells of the pyramid's maps must be squares of whole pixels, got {patches}",
            do="use square patches, whose side 4 divides for a backbone of one stage",
        )
    return tuple(int(height) for height, _ in patches)


class StagePyramid(nnx.Module):
    """The maps at the end of all stages, each normalised: `norms.<index>`; the last one by the backbone's own norm.

    Source: Liu et al., Swin Transformer (ICCV 2021), as MMDetection and MMSegmentation use it.
    """

    def __init__(self, backbone: BackboneConfig):
        stages = backbone.stages()
        self.widths: tuple[int, ...] = (*(_width(stage.width) for stage in stages[:-1]), backbone.num_features)
        self.norms = nnx.Dict(
            {str(index): LayerNorm(width, epsilon=_EPSILON) for index, width in enumerate(self.widths[:-1])}
        )
        self.ends = tuple(stage.last for stage in stages)

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Maps:
        """Computes the maps of normalised images; a key enables dropout and stochastic depth."""
        *finer, last = backbone.maps(images, self.ends, key=key)
        return (*(self.norms[str(index)](maps) for index, maps in enumerate(finer)), backbone.norm(last))


class SimplePyramid(nnx.Module):
    """Four maps from the only one: of four, two, one and half times its sides.

    Parameters: `first`, `norm` and `second` of the finest map, which has a quarter of the channels, and `double` of the
    next one, which has half of them.

    Source: Li et al., Exploring Plain Vision Transformer Backbones for Object Detection (ECCV 2022), section 3, without
    the 1 x 1 and 3 x 3 convolutions that follow there: the head has its own.
    """

    def __init__(self, backbone: BackboneConfig, *, key: PRNGKeyArray):
        keys, width = jax.random.split(key, 3), backbone.num_features
        if width % 4:
            raise ConfigError(f"a pyramid of one map needs a width that is divisible by 4, got {width}")
        self.widths: tuple[int, ...] = (width // 4, width // 2, width, width)
        self.first = _upsampling(width, width // 2, key=keys[0])
        self.norm = LayerNorm(width // 2, epsilon=_EPSILON)
        self.second = _upsampling(width // 2, width // 4, key=keys[1])
        self.double = _upsampling(width, width // 2, key=keys[2])
        self.ends = (backbone.depth,)

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Maps:
        """Computes the maps of normalised images; a key enables dropout and stochastic depth."""
        (last,) = backbone.maps(images, self.ends, key=key)
        maps = backbone.norm(last)
        return self.second(gelu(self.norm(self.first(maps)))), self.double(maps), maps, halve(maps)


def halve(maps: Float[Array, "batch rows columns channels"]) -> Float[Array, "batch half_rows half_columns channels"]:
    """Max-pools over 2 x 2 pixels with a stride of 2; at the end of an odd side, over those that there are."""
    odd = [(0, side % 2) for side in maps.shape[1:3]]
    return jax.lax.reduce_window(maps, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), ((0, 0), *odd, (0, 0)))


def _upsampling(inputs: int, outputs: int, *, key: PRNGKeyArray) -> Upsampling:
    """Draws as PyTorch's default, which takes the outputs of a transposed convolution for its inputs."""
    return Upsampling(fan_in_uniform(key, (2, 2, inputs, outputs), fan_in=4 * outputs))


def _width(width: int | None) -> int:
    if width is None:
        raise ConfigError("a stage without attention does not say its width, which a pyramid of stages needs")
    return width
