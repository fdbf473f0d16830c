"""The check before training that all position information of the attention affects it and gets a gradient.

A bias that is configured but bypassed (by a fused kernel, a renamed function, an amplitude of 0) trains without a
warning, with the results of a model without it. So each block's attention is run, on real images and before any
LayerScale can hide it, with and without each term, the rotary embedding and the Gaussians of queries.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree

from gauss_vit.errors import ConfigError, DataError
from gauss_vit.models.attention import Attention
from gauss_vit.models.backbone import Backbone, SharesBias
from gauss_vit.models.layer_position import LayerPosition
from gauss_vit.position.term import add

# Float32 rounding between two fused programs is about 1e-6; a bias that matters changes a per cent or more.
_SMALLEST_CHANGE = 1e-5
_SHARED = "shared "
_ROTARY, _QUERY_GAUSSIAN = "rotary", "query_gaussian"


@dataclass(frozen=True, kw_only=True)
class TermEffect:
    """What one term, the rotary embedding or the Gaussians of queries do in one block.

    Attributes:
      layer: index of the block in the model, from 0.
      term: name of the term; "shared gaussian", for example, if all blocks share its parameters; "rotary" and
        "query_gaussian" for those, which have no table.
      change: relative L2 change of the attention's output when the term is removed.
      gradient: L2 norm of the gradient of a fixed random projection of that output with respect to the term's
        parameters, or, where it has none, to the angles of its rotation.
      is_zero: whether the term's table is zero everywhere, as when it is initialised with zeros.
    """

    layer: int
    term: str
    change: float
    gradient: float
    is_zero: bool

    @property
    def is_live(self) -> bool:
        """Whether the term has a finite gradient and, unless it starts from zero, changes the attention's output."""
        changes = self.is_zero or self.change > _SMALLEST_CHANGE
        return bool(np.isfinite(self.gradient)) and self.gradient > 0 and changes


class _SharedTerms(NamedTuple):
    """The terms that all blocks share: their structure and their parameters by name."""

    graph: nnx.GraphDef
    params: dict[str, Any]

    def tables(self) -> dict[str, Float[Array, "#heads dy dx"]]:
        return nnx.merge(self.graph, self.params).tables()


def measure_effects(
    graph: nnx.GraphDef, params: PyTree, images: Float[Array, "batch height width 3"]
) -> tuple[TermEffect, ...]:
    """Measures every position term in every block on the residual stream of real images.

    Args:
      graph: structure of a backbone.
      params: its parameters.
      images: normalised images; a few are enough.
    """
    measured = jax.device_get(jax.jit(_effects_by_group, static_argnums=0)(graph, params, images))
    effects = [
        TermEffect(
            layer=int(layer),
            term=name,
            change=float(change[index]),
            gradient=float(gradient[index]),
            is_zero=bool(is_zero[index]),
        )
        for layers, terms in measured
        for name, (change, gradient, is_zero) in terms.items()
        for index, layer in enumerate(layers)
    ]
    return tuple(sorted(effects, key=lambda effect: (effect.term, effect.layer)))


def require_effect(effects: Sequence[TermEffect], *, have_signal: bool = True) -> None:
    """Checks that every term has an effect.

    Args:
      effects: what was measured.
      have_signal: whether there was an image of more than one colour; on others, patches look alike.

    Raises:
      ConfigError: terms without an effect in a block; the message names all of them.
      DataError: code NO-SIGNAL, an effect could not be seen.
    """
    dead = [effect for effect in effects if not effect.is_live]
    if not dead:
        return
    if not have_signal:
        raise DataError(
            "the first training images have no signal: each is of one colour, on which no position bias has an effect",
            do="look at the images and at data.train_transforms; if such images are few, change the seed",
            code="NO-SIGNAL",
        )
    first = dead[0]
    where = ", ".join(f"{effect.term} in block {effect.layer}" for effect in dead[:6])
    more = f" and {len(dead) - 6} more" if len(dead) > 6 else ""
    raise ConfigError(
        f"position bias without effect: {where}{more} (removing it changes the attention output by {first.change:.1e}, "
        f"its gradient has norm {first.gradient:.1e})",
        do="give it a start value that matters, or leave the term out of the config",
        code="BIAS-DEAD",
    )


def _effects_by_group(
    graph: nnx.GraphDef, params: PyTree, images: Float[Array, "batch height width 3"]
) -> list[tuple[Array, dict[str, tuple[Array, Array, Array]]]]:
    """Computes the effects by term, stacked over layers of equal shape, with the indices of these layers."""
    backbone: Backbone = nnx.merge(graph, params)
    shared_terms = None
    if isinstance(backbone, SharesBias):
        structure, state = nnx.split(backbone.shared_bias)
        shared_terms = _SharedTerms(graph=structure, params=nnx.to_pure_dict(state))
    effects = functools.partial(_effects, shared_terms=shared_terms)
    return [(jnp.asarray(group.layers), group.map(effects)) for group in backbone.attention_inputs(images)]


def _effects(
    attention: Attention,
    tokens: Float[Array, "batch tokens channels"],
    mask: Float[Array, "windows tokens tokens"] | None,
    shared: Float[Array, "#heads dy dx"] | None,
    *,
    shared_terms: _SharedTerms | None,
) -> dict[str, tuple[Array, Array, Array]]:
    """Computes, for each part of one attention layer's position, the change, the gradient norm, and whether it is zero.

    A term that all layers share counts as one of each layer, under its name after "shared".
    """
    tables = attention.bias.tables()
    if shared_terms is not None:
        tables = tables | {f"{_SHARED}{name}": table for name, table in shared_terms.tables().items()}
    position = attention.position(shared=shared)
    outputs = attention(tokens, shared=shared, mask=mask).astype(jnp.float32)
    probe = jax.random.normal(jax.random.key(0), outputs.shape, jnp.float32)

    def change(without: LayerPosition) -> Float[Array, ""]:
        other = attention.mix(tokens, without, mask=mask).astype(jnp.float32)
        return jnp.linalg.norm(outputs - other) / jnp.maximum(jnp.linalg.norm(outputs), 1e-30)

    def gradient(name: str) -> Float[Array, ""]:
        if shared_terms is not None and name.startswith(_SHARED):
            start, output = _of_shared(attention, tokens, name.removeprefix(_SHARED), mask=mask, terms=shared_terms)
        else:
            start, output = _as_function(attention, tokens, name, mask=mask, shared=shared)
        leaves = jax.tree.leaves(jax.grad(lambda part: jnp.sum(output(part).astype(jnp.float32) * probe))(start))
        return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in leaves))

    effects = {}
    for name, table in tables.items():
        others = {other: each for other, each in tables.items() if other != name}
        without = replace(position, table=add(others, attention.config.grid))
        effects[name] = change(without), gradient(name), jnp.all(table == 0)
    if position.angles is not None:
        effects[_ROTARY] = change(replace(position, angles=None)), gradient(_ROTARY), jnp.all(position.angles == 0)
    if position.gaussian is not None:
        without = replace(position, gaussian=None)
        effects[_QUERY_GAUSSIAN] = change(without), gradient(_QUERY_GAUSSIAN), jnp.asarray(False)
    return effects


def _of_shared(
    attention: Attention,
    tokens: Float[Array, "batch tokens channels"],
    name: str,
    *,
    mask: Float[Array, "windows tokens tokens"] | None,
    terms: _SharedTerms,
) -> tuple[PyTree, Callable[[PyTree], Array]]:
    """Does what `_as_function` does for a term that all layers share."""

    def output(part: PyTree) -> Array:
        tables = terms._replace(params={**terms.params, name: part}).tables()
        return attention(tokens, shared=add(tables, attention.config.grid), mask=mask)

    return terms.params[name], output


def _as_function(
    attention: Attention,
    tokens: Float[Array, "batch tokens channels"],
    name: str,
    *,
    mask: Float[Array, "windows tokens tokens"] | None,
    shared: Float[Array, "#heads dy dx"] | None,
) -> tuple[PyTree, Callable[[PyTree], Array]]:
    """Returns the parameters of a part, or what stands for them, and the layer's output as a function of these."""
    graph, state = nnx.split(attention)
    params = nnx.to_pure_dict(state)
    if name == _ROTARY and _ROTARY not in params:
        position = attention.position(shared=shared)
        return position.angles, lambda angles: attention.mix(tokens, replace(position, angles=angles), mask=mask)
    is_term = name not in (_ROTARY, _QUERY_GAUSSIAN)
    own = params["bias"] if is_term else params

    def output(part: PyTree) -> Array:
        changed = {**own, name: part}
        whole = {**params, "bias": changed} if is_term else changed
        return nnx.merge(graph, whole)(tokens, shared=shared, mask=mask)

    return own[name], output
