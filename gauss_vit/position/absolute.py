"""The learned absolute position embedding: one vector for every token, added to the patches."""

from dataclasses import dataclass

from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.ops.grid import Grid, num_patches
from gauss_vit.ops.initializers import truncated_normal


@dataclass(frozen=True, kw_only=True)
class AbsoluteEmbedding:
    """A free vector for every token, in units of the embedded patches.

    Attributes:
      embeds_prefix: class tokens have a position, too (ViT, DeiT); otherwise they are joined after it (DeiT III, CaiT).
      init_std: the standard deviation of its truncated normal start.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words (ICLR 2021), equation 1; timm `VisionTransformer`.
    """

    embeds_prefix: bool = True
    init_std: float = 0.02

    def init(self, key: PRNGKeyArray, *, grid: Grid, prefix_tokens: int, width: int) -> Float[Array, "tokens channels"]:
        """Draws the embedding in float32; prefix tokens come first, patches row by row."""
        tokens = num_patches(grid) + (prefix_tokens if self.embeds_prefix else 0)
        return truncated_normal(key, (tokens, width), std=self.init_std)
