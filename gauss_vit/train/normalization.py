"""From the bytes of an image to the numbers that a model reads; it runs on the device, inside the step."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normalization:
    """Shifts and scales each colour: (image / 255 - mean) / std.

    Attributes:
      mean: of red, green and blue, in 0..1.
      std: of red, green and blue, in 0..1, positive.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, image: UInt8[Array, "batch height width 3"]) -> Float[Array, "batch height width 3"]:
        """Normalises RGB bytes to float32."""
        mean = jnp.asarray(self.mean, jnp.float32)[None, None, None, :]
        std = jnp.asarray(self.std, jnp.float32)[None, None, None, :]
        return (image.astype(jnp.float32) / 255.0 - mean) / std
