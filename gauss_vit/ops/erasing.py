"""Random erasing: a random box of an image becomes noise."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError

NUM_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class Erasing:
    """How boxes of training images are erased: at most one in an image, each value replaced by a normal random number.

    Attributes:
      probability: probability of erasing a box; 0 turns it off.
      area: smallest and largest share of the image's area, drawn uniformly.
      aspect: smallest and largest height / width, its logarithm drawn uniformly.

    Source: Zhong et al., arXiv:1708.04896; drawn as timm's `RandomErasing` in its mode "pixel" with one box.
    """

    probability: float = 0.0
    area: tuple[float, float] = (0.02, 1 / 3)
    aspect: tuple[float, float] = (0.3, 1 / 0.3)

    def __post_init__(self):
        """Checks ranges.

        Raises:
          ConfigError: one or more values are out of range; all are named.
        """
        errors = []
        if not 0 <= self.probability <= 1:
            errors.append(f"probability must be in [0, 1], got {self.probability}")
        if not 0 < self.area[0] <= self.area[1] <= 1:
            errors.append(f"area must be two rising shares in (0, 1], got {self.area}")
        if not (0 < self.aspect[0] <= self.aspect[1] and math.isfinite(self.aspect[1])):
            errors.append(f"aspect must be two rising positive numbers, got {self.aspect}")
        if errors:
            raise ConfigError("; ".join(errors))

    @property
    def is_on(self) -> bool:
        """Whether images are erased at all."""
        return self.probability > 0


def erase(
    images: Float[Array, "batch height width 3"], erasing: Erasing, *, key: PRNGKeyArray
) -> Float[Array, "batch height width 3"]:
    """Fills a box of some images with noise; images are normalised, as the noise has mean 0 and deviation 1."""
    box_key, noise_key = jax.random.split(key)
    batch, height, width, _ = images.shape
    boxes = draw_boxes(erasing, (batch, height, width), key=box_key)
    noise = jax.random.normal(noise_key, images.shape, images.dtype)
    return jnp.where(boxes[:, :, :, None], noise, images)


def draw_boxes(
    erasing: Erasing, shape: tuple[int, int, int], *, key: PRNGKeyArray
) -> Bool[Array, "batch height width"]:
    """Draws a box for each image; it is empty by chance, or where ten draws do not fit into the image.

    Args:
      erasing: distribution of the boxes.
      shape: (batch, height, width) in pixels.
      key: randomness.
    """
    batch, *size = shape
    happens_key, area_key, aspect_key, place_key = jax.random.split(key, 4)
    happens = jax.random.bernoulli(happens_key, erasing.probability, (batch,))
    share = jax.random.uniform(area_key, (batch, NUM_TRIES), jnp.float32, *erasing.area)
    logarithms = [math.log(value) for value in erasing.aspect]
    aspect = jnp.exp(jax.random.uniform(aspect_key, (batch, NUM_TRIES), jnp.float32, *logarithms))
    area = share * math.prod(size)
    tried = [jnp.round(jnp.sqrt(area * aspect)), jnp.round(jnp.sqrt(area / aspect))]
    fits = (tried[0] < size[0]) & (tried[1] < size[1])
    first = jnp.argmax(fits, axis=1)[:, None]
    extents = [jnp.take_along_axis(extent, first, axis=1)[:, 0] for extent in tried]
    chance = jax.random.uniform(place_key, (2, batch), jnp.float32)
    rows, columns = (
        _covers(length, extent, chance=chance[axis])
        for axis, (length, extent) in enumerate(zip(size, extents, strict=True))
    )
    is_erased = happens & jnp.any(fits, axis=1)
    return is_erased[:, None, None] & rows[:, :, None] & columns[:, None, :]


def _covers(
    length: int, extent: Float[Array, " batch"], *, chance: Float[Array, " batch"]
) -> Bool[Array, "batch length"]:
    """Marks the pixels along one axis that are within a box, which is placed uniformly."""
    num_places = length - extent + 1
    start = jnp.minimum(jnp.floor(chance * num_places), num_places - 1)
    position = jnp.arange(length, dtype=jnp.float32)[None, :]
    return (position >= start[:, None]) & (position < (start + extent)[:, None])
