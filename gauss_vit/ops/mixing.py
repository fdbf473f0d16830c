"""Mixup and CutMix: two images become one, and so do their classes.

Example i is mixed with example n - 1 - i of its batch; the share and the box are the same for the whole batch. Both are
out = w x + (1 - w) x', where w is a number for each pixel: the same everywhere for mixup, 0 in the box and 1 outside it
for CutMix.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from gauss_vit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """How training images are mixed. With both kinds on, each batch is mixed in one of the two ways.

    Attributes:
      mixup: parameter a of the distribution Beta(a, a) of an image's share; 0 turns mixup off.
      cutmix: the same for the share of the area that is outside the box; 0 turns CutMix off.
      probability: probability that a batch is mixed.
      switch_probability: probability of CutMix where both are on.

    Source: Zhang et al., arXiv:1710.09412; Yun et al., arXiv:1905.04899; drawn as timm's `Mixup` in its mode "batch".
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    switch_probability: float = 0.5

    def __post_init__(self):
        """Checks ranges.

        Raises:
          ConfigError: one or more values are out of range; all are named.
        """
        shapes = (("mixup", self.mixup), ("cutmix", self.cutmix))
        shares = (("probability", self.probability), ("switch_probability", self.switch_probability))
        errors = [
            f"{name} must be a finite number >= 0, got {value}"
            for name, value in shapes
            if not (math.isfinite(value) and value >= 0)
        ] + [f"{name} must be in [0, 1], got {value}" for name, value in shares if not 0 <= value <= 1]
        if errors:
            raise ConfigError("; ".join(errors))

    @property
    def is_on(self) -> bool:
        """Whether batches are mixed at all."""
        return self.probability > 0 and (self.mixup > 0 or self.cutmix > 0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Mixture:
    """What was mixed into every example of a batch.

    Attributes:
      partner_label: int32 [batch], class of the other image.
      share: float32 [batch], share of the example that is its own image, in 0..1.
    """

    partner_label: PyTree
    share: PyTree


def dominant_label(label: Int[Array, " batch"], mixture: Mixture) -> Int[Array, " batch"]:
    """Returns the class of the image with the larger share."""
    return jnp.where(mixture.share >= 0.5, label, mixture.partner_label)


@dataclass(frozen=True, kw_only=True)
class PixelWeights:
    """Weights of an image against its partner.

    Attributes:
      pixels: [height, width], in 0..1.
      share: scalar, their mean.
    """

    pixels: Float[Array, "height width"]
    share: Float[Array, ""]


def mix(
    images: Float[Array, "batch height width 3"], weights: PixelWeights, *, is_real: Bool[Array, " batch"]
) -> tuple[Float[Array, "batch height width 3"], Float[Array, " batch"]]:
    """Mixes every image with its partner, unless one of the two is padding.

    Returns:
      The images, in their type, and the share of each that is its own.
    """
    is_mixed = is_real & is_real[::-1]
    own = jnp.where(is_mixed[:, None, None, None], weights.pixels[None, :, :, None], jnp.float32(1))
    own = jnp.broadcast_to(own, images.shape).astype(images.dtype)
    return own * images + (1 - own) * images[::-1], jnp.where(is_mixed, weights.share, jnp.float32(1))


def draw_weights(mixing: Mixing, size: tuple[int, int], *, key: PRNGKeyArray) -> PixelWeights:
    """Draws how a batch is mixed.

    Args:
      mixing: distribution, with mixup or CutMix on.
      size: (height, width) in pixels.
      key: randomness.
    """
    happens_key, kind_key, share_key, center_key = jax.random.split(key, 4)
    happens = jax.random.bernoulli(happens_key, mixing.probability)
    switches = mixing.switch_probability if mixing.mixup > 0 else 1.0
    is_cutmix = jax.random.bernoulli(kind_key, switches if mixing.cutmix > 0 else 0.0)
    # One call for both, as the compilation of a gamma sampler takes seconds; a kind that is off is never chosen.
    shapes = jnp.asarray([shape or 1.0 for shape in (mixing.mixup, mixing.cutmix)], jnp.float32)
    blended_share, cut_share = jax.random.beta(share_key, shapes, shapes, dtype=jnp.float32)
    blended = blend(blended_share, size)
    center = jax.random.randint(center_key, (2,), jnp.zeros(2, jnp.int32), jnp.asarray(size, jnp.int32))
    boxed = cut(cut_share, size, center_yx=center)
    chosen = jax.tree.map(lambda box, blend: jnp.where(is_cutmix, box, blend), vars(boxed), vars(blended))
    return PixelWeights(**{name: jnp.where(happens, value, jnp.float32(1)) for name, value in chosen.items()})


def blend(share: Float[Array, ""], size: tuple[int, int]) -> PixelWeights:
    """Returns the weights of mixup: the share, everywhere."""
    return PixelWeights(pixels=jnp.full(size, share, jnp.float32), share=share)


def cut(share: Float[Array, ""], size: tuple[int, int], *, center_yx: Int[Array, " yx"]) -> PixelWeights:
    """Computes the weights of CutMix.

    Args:
      share: share of the area outside the box if the box were inside the image; that of the result is exact.
      size: (height, width) in pixels.
      center_yx: centre of the box, in pixels.
    """
    side = jnp.sqrt(1 - share)
    covers = [
        _covers(position, length, center=center_yx[axis], side=side)
        for axis, (position, length) in enumerate((jnp.arange(length, dtype=jnp.int32), length) for length in size)
    ]
    is_box = covers[0][:, None] & covers[1][None, :]
    num_kept = math.prod(size) - jnp.sum(is_box, dtype=jnp.int32)
    return PixelWeights(pixels=1 - is_box.astype(jnp.float32), share=num_kept.astype(jnp.float32) / math.prod(size))


def _covers(
    position: Int[Array, " length"], length: int, *, center: Int[Array, ""], side: Float[Array, ""]
) -> Bool[Array, " length"]:
    """Marks the pixels along one axis that are within the box, whose side is a share of the axis."""
    extent = jnp.floor(length * side).astype(jnp.int32)
    return (position >= center - extent // 2) & (position < center + (extent + 1) // 2)
