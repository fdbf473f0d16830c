"""Learned absolute position embedding: one vector for every token, added to the embedded patches."""

import math
from dataclasses import dataclass

from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid, num_patches
from gauss_vit.ops.initializers import truncated_normal


@dataclass(frozen=True, kw_only=True)
class AbsoluteEmbedding:
    """A learned vector for every token, added to the embedded patches.

    Attributes:
      embeds_prefix: Whether prefix tokens have a position, too (ViT, DeiT); otherwise they are joined after the
        positions are added (DeiT III, CaiT).
      init_std: Standard deviation of its truncated normal initialisation.

    Raises:
      ConfigError: the standard deviation is negative or not finite.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words (ICLR 2021), equation 1; timm `VisionTransformer`.
    """

    embeds_prefix: bool = True
    init_std: float = 0.02

    def __post_init__(self):
        if not 0 <= self.init_std < math.inf:
            raise ConfigError(f"init_std must be finite and not negative, got {self.init_std}")

    def init(self, key: PRNGKeyArray, *, grid: Grid, prefix_tokens: int, width: int) -> Float[Array, "tokens channels"]:
        """Draws the embedding in float32; prefix tokens come first, patches row by row."""
        tokens = num_patches(grid) + (prefix_tokens if self.embeds_prefix else 0)
        return truncated_normal(key, (tokens, width), std=self.init_std)
