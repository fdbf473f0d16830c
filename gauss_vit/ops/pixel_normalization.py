"""From the bytes of an image to the numbers that a model reads, on the device."""

import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from gauss_vit.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normalization:
    """Shifts and scales each colour: (image / 255 - mean) / std.

    Attributes:
      mean: means of red, green and blue, in 0..1.
      std: standard deviations of red, green and blue, in 0..1.

    Raises:
      ConfigError: a mean is not finite, or a deviation not positive and finite.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self):
        if not all(math.isfinite(mean) for mean in self.mean):
            raise ConfigError(f"mean must be finite, got {self.mean}")
        if not all(math.isfinite(std) and std > 0 for std in self.std):
            raise ConfigError(f"std must be above 0 and finite, got {self.std}")

    def __str__(self) -> str:
        return f"mean {self.mean} and deviation {self.std}"

    def __call__(self, image: UInt8[Array, "batch height width 3"]) -> Float[Array, "batch height width 3"]:
        """Normalises RGB bytes to float32."""
        mean = jnp.asarray(self.mean, jnp.float32)[None, None, None, :]
        std = jnp.asarray(self.std, jnp.float32)[None, None, None, :]
        return (image.astype(jnp.float32) / 255.0 - mean) / std
