"""What a model returns beside its logits, as typed values."""

from dataclasses import dataclass

import jax
from jaxtyping import PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Features:
    """The feature maps at the end of a model's trunk.

    Attributes:
      last: [batch, height, width, channels], the patches as the trunk leaves them: after its final normalisation
        where that stands before pooling, else the residual stream itself. The paper's target of receptive fields.
      pre_norm: [batch, height, width, channels], the residual stream before any final normalisation.
      prefix: [batch, prefix, channels], the class tokens beside `last`.
      pooled: [batch, channels], what the head reads.
    """

    last: PyTree
    pre_norm: PyTree
    prefix: PyTree
    pooled: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Intermediates:
    """What every block does, stacked over depth.

    Attributes:
      tokens: [depth, batch, tokens, channels], the residual stream as it leaves each block; prefix tokens first.
      attention_weights: float32 [depth, batch, heads, query, key], rows sum to 1 unless heads are mixed after the
        softmax.
      logits_bias: float32 [depth, heads or 1, query, key], what position adds to the logits.
    """

    tokens: PyTree
    attention_weights: PyTree
    logits_bias: PyTree
