"""Intermediate arrays of blocks on given images: attention inputs, attention weights and logits biases."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree

from gauss_vit.models.attention import Attention
from gauss_vit.models.blocks import Block, Layout
from gauss_vit.models.features import AttentionInputs, Intermediates


def attention_inputs(
    blocks: Block,
    entering: Float[Array, "depth batch tokens channels"],
    *,
    layouts: Sequence[Layout | None],
    shared: Float[Array, "#heads dy dx"] | None = None,
    first: int = 0,
) -> tuple[AttentionInputs, ...]:
    """Computes the inputs of the attention of stacked blocks; blocks with the same layout are one group.

    Args:
      blocks: Blocks whose parameters are stacked.
      entering: Stream that enters each block.
      layouts: Layouts that successive blocks use in turn; None for attention among all tokens of an image.
      shared: Offset table that all blocks share.
      first: Number of earlier blocks in the backbone.
    """
    graph, stacked = nnx.split(blocks)
    attention_graph, attention_params = nnx.split(blocks.attention)
    depth, period = entering.shape[0], len(layouts)

    def inputs_of(layout: Layout | None, layer: tuple[PyTree, Array]) -> Array:
        block = nnx.merge(graph, layer[0])
        inputs = block.before(layer[1], block.norm1)
        return inputs if layout is None else layout.split(inputs)

    return tuple(
        AttentionInputs(
            graph=attention_graph,
            params=_every(attention_params, offset, period),
            tokens=jax.lax.map(
                lambda layer, layout=layout: inputs_of(layout, layer), _every((stacked, entering), offset, period)
            ),
            mask=None if layout is None or layout.mask is None else jnp.asarray(layout.mask),
            shared=shared,
            layers=np.arange(depth)[offset::period] + first,
        )
        for offset, layout in enumerate(layouts[:depth])
    )


def intermediates(
    groups: Sequence[AttentionInputs],
    entering: Float[Array, "depth batch tokens channels"],
    leaving: Float[Array, "batch tokens channels"],
) -> Intermediates:
    """Computes the intermediate arrays of blocks of equal shape.

    Args:
      groups: Inputs of all their attention layers.
      entering: Stream that enters each block.
      leaving: Stream that leaves the last block.
    """
    weights, biases = zip(*(group.map(_weights_and_bias) for group in groups), strict=True)
    order = np.argsort(np.concatenate([group.layers for group in groups]))
    return Intermediates(
        tokens=jnp.concatenate([entering[1:], leaving[None]]),
        attention_weights=_in_order(weights, order),
        logits_bias=_in_order(biases, order),
    )


def _weights_and_bias(attention: Attention, tokens: Array, mask: Array | None, shared: Array | None) -> PyTree:
    return attention.weights(tokens, shared=shared, mask=mask), attention.logits_bias(shared=shared)


def _in_order(parts: Sequence[Float[Array, "..."]], order: np.ndarray) -> Float[Array, "..."]:
    return parts[0] if len(parts) == 1 else jnp.take(jnp.concatenate(parts), order, axis=0)


def _every(layers: PyTree, offset: int, period: int) -> PyTree:
    return layers if period == 1 else jax.tree.map(lambda leaf: leaf[offset::period], layers)
