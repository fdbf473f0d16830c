"""What a model returns beside its logits, as typed values."""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
from flax import nnx
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
    """What blocks of equal shape do, stacked over depth.

    Where attention runs in windows, its batch is images by windows, windows fastest.

    Attributes:
      tokens: [depth, batch, tokens, channels], the residual stream as it leaves each block; prefix tokens first.
      attention_weights: float32 [depth, batch, heads, query, key], rows sum to 1 unless heads are mixed after the
        softmax.
      logits_bias: float32 [depth, heads or 1, query, key], what position adds to the logits.
    """

    tokens: PyTree
    attention_weights: PyTree
    logits_bias: PyTree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class AttentionInputs:
    """Attention layers of equal shape with what enters them on given images.

    Attributes:
      graph: structure of one layer, `models.attention.Attention`.
      params: its parameters, stacked: [layers, ...].
      tokens: [layers, batch, tokens, channels], the input of each.
      mask: [windows, tokens, tokens], logits of every window, or None.
      shared: [heads or 1, dy, dx], an offset table that comes from outside of the layers, or None.
      layers: int [layers], their places among all layers of the model, from 0.
    """

    graph: nnx.GraphDef = field(metadata={"static": True})
    params: PyTree
    tokens: PyTree
    mask: PyTree
    shared: PyTree
    layers: PyTree

    def map(self, function: Callable[..., PyTree]) -> PyTree:
        """Stacks what a function of (layer, tokens, mask, shared) gives for every layer."""

        def of_layer(layer: tuple[PyTree, PyTree]) -> PyTree:
            return function(nnx.merge(self.graph, layer[0]), layer[1], self.mask, self.shared)

        return jax.lax.map(of_layer, (self.params, self.tokens))
