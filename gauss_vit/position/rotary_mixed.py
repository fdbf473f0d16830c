"""Mixed rotary embedding: every pair of channels turns with row and column at once, by learned frequencies."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.position.rotary import Rotary
from gauss_vit.position.term import TermParams


@dataclass(frozen=True, kw_only=True)
class MixedRotary(Rotary):
    """A rotary embedding with frequencies that are learned for every layer, head, axis and pair of channels.

      angle[h, y, x, p] = frequencies[0, h, p] y + frequencies[1, h, p] x

    y and x are the indices of the row and the column, from 0. At the start, the frequencies of d / 4 pairs are
    base^(-4 i / d) along a direction that is drawn for every layer and head, and those of the other pairs are the same
    at right angles to it. Neighbouring channels form a pair.

    Attributes:
      base: Ratio of the largest to the smallest frequency at the start, nearly: that of 4 / d more pairs.

    Raises:
      ConfigError: the base is not finite and above 1.

    Source: Heo et al., Rotary Position Embedding for Vision Transformer (ECCV 2024, arXiv 2403.13298), section 3.2; the
    start and the base are those of naver-ai/rope-vit and of timm's `RotaryEmbeddingMixed`, which have x before y.
    """

    base: float = 10.0

    def __post_init__(self):
        if not np.isfinite(self.base) or self.base <= 1:
            raise ConfigError(f"base must be finite and above 1, got {self.base}")

    def init(self, key: PRNGKeyArray, *, num_heads: int, channels: int) -> dict[str, Array]:
        """Draws float32 `frequencies` [2 (y, x), heads, channels / 2]."""
        sizes = 1 / np.float32(self.base) ** (np.arange(0, channels, 4, dtype=np.float32) / np.float32(channels))
        direction = jax.random.uniform(key, (num_heads, 1), jnp.float32, maxval=2 * np.pi)
        lengths = jnp.broadcast_to(jnp.asarray(sizes), (num_heads, channels // 4))
        cosine, sine = (jnp.broadcast_to(each, lengths.shape) for each in (jnp.cos(direction), jnp.sin(direction)))
        down = jnp.concatenate([lengths * sine, lengths * cosine], axis=1)
        across = jnp.concatenate([lengths * cosine, -lengths * sine], axis=1)
        return {"frequencies": jnp.stack([down, across])}

    def frequencies(self, params: TermParams, *, channels: int) -> Float[Array, "2 heads pairs"]:
        """Returns the learned frequencies."""
        del channels
        return params["frequencies"].astype(jnp.float32)

    @property
    def undecayed(self) -> tuple[str, ...]:
        """The frequencies: weight decay would undo the rotation, whatever the data say."""
        return ("frequencies",)
