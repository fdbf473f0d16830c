"""What a model returns besides its logits, as typed values."""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
from flax import nnx
from jaxtyping import PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Features:
    """The feature maps at the end of a backbone.

    Attributes:
      last: [batch, height, width, channels], patches after the final normalisation if that comes before pooling, else
        the residual stream itself. Receptive fields are computed from it, as in the paper.
      pre_norm: [batch, height, width, channels], the residual stream before any final normalisation.
      prefix: [batch, prefix, channels], the prefix tokens, normalised as `last`.
      pooled: [batch, channels], the input of the head.
    """

    last: PyTree
    pre_norm: PyTree
    prefix: PyTree
    pooled: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Intermediates:
    """Intermediate arrays of blocks of equal shape, stacked over depth.

    For attention in windows, the batch is images by windows, windows fastest.

    Attributes:
      tokens: [depth, batch, tokens, channels], the residual stream as it leaves each block; prefix tokens first.
      attention_weights: float32 [depth, batch, heads, query, key], rows sum to 1 unless heads are mixed after
        the softmax.
      logits_bias: float32 [depth, heads or 1, query, key], the position bias of the logits.
    """

    tokens: PyTree
    attention_weights: PyTree
    logits_bias: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class AttentionInputs:
    """Attention layers of equal shape with their inputs on given images.

    Attributes:
      graph: Structure of one layer, `models.attention.Attention`.
      params: Parameters of the layers, stacked: [layers, ...].
      tokens: [layers, batch, tokens, channels], the input of each layer.
      mask: [windows, tokens, tokens], logits added in every window, or None.
      shared: [heads or 1, dy, dx], the offset table that all layers share, or None.
      layers: int [layers], indices of the layers among all layers of the model, from 0.
    """

    graph: nnx.GraphDef = field(metadata={"static": True})
    params: PyTree
    tokens: PyTree
    mask: PyTree
    shared: PyTree
    layers: PyTree

    def map(self, function: Callable[..., PyTree]) -> PyTree:
        """Applies a function of (layer, tokens, mask, shared) to every layer and stacks the results."""

        def of_layer(layer: tuple[PyTree, PyTree]) -> PyTree:
            return function(nnx.merge(self.graph, layer[0]), layer[1], self.mask, self.shared)

        return jax.lax.map(of_layer, (self.params, self.tokens))
