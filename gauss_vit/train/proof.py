"""Proof of effect: before training, every position term must reach the attention and get a gradient.

A bias that is configured but bypassed (by a fused kernel, a renamed function, an amplitude of 0) trains without a word
and yields the plain model's numbers under another name. So each block's attention is run, on real images and before any
LayerScale can hide it, with and without each term.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.models.attention import Attention
from gauss_vit.models.vit import ViT
from gauss_vit.position.term import add

# Float32 rounding between two fused programs is about 1e-6; a bias that matters changes a per cent or more.
_SMALLEST_CHANGE = 1e-5


@dataclass(frozen=True, kw_only=True)
class TermEffect:
    """What one term does in one block.

    Attributes:
      layer: index of the block, from 0.
      term: the term's name.
      change: relative L2 change of the attention's output when the term is removed.
      gradient: L2 norm of the gradient of a fixed random projection of that output with respect to the term's
        parameters.
      is_zero: the term's table is zero everywhere, as a table that starts from zeros is.
    """

    layer: int
    term: str
    change: float
    gradient: float
    is_zero: bool

    @property
    def is_live(self) -> bool:
        """The term has a finite gradient and, unless it starts from zero, changes the attention's output."""
        changes = self.is_zero or self.change > _SMALLEST_CHANGE
        return bool(np.isfinite(self.gradient)) and self.gradient > 0 and changes


def measure_effects(
    graph: nnx.GraphDef, params: PyTree, images: Float[Array, "batch height width 3"]
) -> tuple[TermEffect, ...]:
    """Measures every position term in every block on the residual stream of real images.

    Args:
      graph: structure of a model.
      params: its parameters.
      images: normalised images; a few are enough.
    """
    measured = jax.jit(_effects_by_term, static_argnums=0)(graph, params, images)
    return tuple(
        TermEffect(
            layer=layer,
            term=name,
            change=float(change[layer]),
            gradient=float(gradient[layer]),
            is_zero=bool(is_zero[layer]),
        )
        for name, (change, gradient, is_zero) in jax.device_get(measured).items()
        for layer in range(len(change))
    )


def require_effect(effects: Sequence[TermEffect]) -> None:
    """Refuses to train with a term that does nothing.

    Raises:
      ConfigError: a term is dead in a block; the message names them.
    """
    dead = [effect for effect in effects if not effect.is_live]
    if not dead:
        return
    first = dead[0]
    where = ", ".join(f"{effect.term} in block {effect.layer}" for effect in dead[:6])
    more = f" and {len(dead) - 6} more" if len(dead) > 6 else ""
    raise ConfigError(
        f"position bias without effect: {where}{more} (removing it changes the attention output by {first.change:.1e}, "
        f"its gradient has norm {first.gradient:.1e})",
        do="give it a start value that matters, or leave the term out of the config",
        code="BIAS-DEAD",
    )


def _effects_by_term(
    graph: nnx.GraphDef, params: PyTree, images: Float[Array, "batch height width 3"]
) -> dict[str, tuple[Array, Array, Array]]:
    model: ViT = nnx.merge(graph, params)
    _, streams = model.scan_blocks(model.embed(images), collect=True)
    block_graph, stacked = nnx.split(model.blocks)

    def of_block(layer: PyTree) -> dict[str, tuple[Array, Array, Array]]:
        block_params, stream = layer
        block = nnx.merge(block_graph, block_params)
        tokens = block.norm1(stream)
        return {term.name: _effect(block.attention, tokens, term.name) for term in model.config.terms}

    return jax.lax.map(of_block, (stacked, streams))


def _effect(
    attention: Attention, tokens: Float[Array, "batch tokens channels"], name: str
) -> tuple[Float[Array, ""], Float[Array, ""], Array]:
    """Gives the change, the gradient norm, and whether the table is zero, for one term of one attention layer."""
    tables = attention.bias.tables()
    others = {other: table for other, table in tables.items() if other != name}
    with_term = attention(tokens).astype(jnp.float32)
    without = attention.mix(tokens, table=add(others, attention.config.grid)).astype(jnp.float32)
    change = jnp.linalg.norm(with_term - without) / jnp.maximum(jnp.linalg.norm(with_term), 1e-30)

    attention_graph, state = nnx.split(attention)
    params = nnx.to_pure_dict(state)
    probe = jax.random.normal(jax.random.key(0), with_term.shape, jnp.float32)

    def projection(term_params: PyTree) -> Float[Array, ""]:
        bias = {**params["bias"], name: term_params}
        outputs = nnx.merge(attention_graph, {**params, "bias": bias})(tokens)
        return jnp.sum(outputs.astype(jnp.float32) * probe)

    gradients = jax.tree.leaves(jax.grad(projection)(params["bias"][name]))
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(gradient)) for gradient in gradients))
    return change, norm, jnp.all(tables[name] == 0)
