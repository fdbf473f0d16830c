"""What two backbones compute differently from parameters of equal names and shapes."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from gauss_vit.models.attention import AttentionConfig
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.position.query_gaussian import QueryGaussian
from gauss_vit.position.rotary import Rotary, angles
from gauss_vit.position.term import BiasTerm

_FIELDS = ("patch_size", "num_heads", "mlp", "block_norm", "similarity", "norm", "norm_epsilon", "embedding")
"""Fields of backbones that change what is computed and need not change any shape."""


def differences(source: BackboneConfig, config: BackboneConfig, *, keeps_head: bool) -> tuple[str, ...]:
    """Lists what two backbones differ in, apart from sizes of images and windows, rates, and shapes of parameters.

    Terms that only one of them has are no difference, nor are values that only say how parameters start.

    Args:
      source: Config of the backbone that the parameters are from.
      config: Config of the backbone that they are for.
      keeps_head: Whether the head is kept, so that it must read the same features.
    """
    names = (*_FIELDS, "pool") if keeps_head else _FIELDS
    both = [name for name in names if name in vars(source) and name in vars(config)]
    return (*_unequal(source, config, both, prefix=""), *_of_position(source, config))


def _of_position(source: BackboneConfig, config: BackboneConfig) -> Iterator[str]:
    given, own, attention = source.position, config.position, source.stages()[0].attention
    if attention is None:
        return
    for theirs, mine in ((given.terms, own.terms), (given.shared, own.shared)):
        named = {term.name: term for term in mine}
        for term in theirs:
            if term.name in named and not _gives_equal_bias(term, named[term.name], attention):
                yield from _unequal_values(term, named[term.name], name=term.name)
    if not _rotates_alike(given.rotary, own.rotary, attention):
        yield from _unequal_values(given.rotary, own.rotary, name="rotary")
    if given.query_gaussian is not None and own.query_gaussian is not None:
        theirs, mine = (each.reference or attention.grid for each in (given.query_gaussian, own.query_gaussian))
        if theirs != mine:
            yield from _unequal_values(given.query_gaussian, own.query_gaussian, name="query_gaussian")


def _gives_equal_bias(theirs: BiasTerm, mine: BiasTerm, attention: AttentionConfig) -> bool:
    """Returns whether two terms are the same function of their parameters on the window of an attention layer."""
    if theirs == mine:
        return True
    grid = attention.grid
    shapes = [
        jax.eval_shape(lambda key, each=each: each.init(key, grid=grid, num_heads=attention.num_heads), _key())
        for each in (theirs, mine)
    ]
    if shapes[0] != shapes[1]:
        return False
    params = _drawn(shapes[0])
    return np.array_equal(theirs.table(params, grid), mine.table(params, grid))


def _rotates_alike(theirs: Rotary | None, mine: Rotary | None, attention: AttentionConfig) -> bool:
    """Returns whether two rotary embeddings are the same function of their parameters."""
    if theirs is None or mine is None or theirs == mine:
        return theirs == mine
    channels, heads = attention.head_channels, attention.num_heads
    shapes = [
        jax.eval_shape(lambda key, each=each: each.init(key, num_heads=heads, channels=channels), _key())
        for each in (theirs, mine)
    ]
    if shapes[0] != shapes[1] or theirs.layout != mine.layout:
        return False
    params = _drawn(shapes[0])
    given, own = (angles(each, params, attention.grid, channels=channels) for each in (theirs, mine))
    return np.array_equal(given, own)


def _key() -> Array:
    return jax.random.key(0)


def _drawn(shapes: PyTree) -> PyTree:
    """Draws parameters of which none is 0, where terms could vanish."""
    return jax.tree.map(lambda leaf: jax.random.uniform(_key(), leaf.shape, jnp.float32, 0.5, 2.0), shapes)


def _unequal_values(
    theirs: BiasTerm | Rotary | QueryGaussian | None, mine: BiasTerm | Rotary | QueryGaussian | None, *, name: str
) -> Iterator[str]:
    """Describes the difference of two values: in their fields if these are of one class."""
    if theirs is None or type(theirs) is not type(mine):
        yield _sentence(name, *("absent" if each is None else type(each).__name__ for each in (theirs, mine)))
    else:
        yield from _unequal(theirs, mine, list(vars(theirs)), prefix=f"{name}.")


def _unequal(theirs: object, mine: object, names: Sequence[str], *, prefix: str) -> list[str]:
    pairs = [(name, vars(theirs)[name], vars(mine)[name]) for name in names]
    return [_sentence(f"{prefix}{name}", given, own) for name, given, own in pairs if given != own]


def _sentence(name: str, given: object, own: object) -> str:
    return f"{name} is {given} in the run and {own} in the model"
