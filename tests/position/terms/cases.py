"""Every term of the package with its default values, and further variants: the table over which every law runs.

A term that is added to the union `Term` is in the table by itself; its other variants are one line in `VARIANTS`.
"""

import dataclasses
import functools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

from gauss_vit.position import BiasTerm, Gaussian, Kerple, LookHere, RelativeMlp, RelativeTable
from gauss_vit.position.position import Term

DEFAULTS: dict[str, BiasTerm] = {cls().name: cls() for cls in get_args(Term) if cls is not BiasTerm}
VARIANTS: dict[str, BiasTerm] = {
    "gaussian, per head": Gaussian(per_head=True),
    "gaussian, every variant": Gaussian(per_head=True, anisotropic=True, unit="image", sigma=0.3),
    "relative, prefix": RelativeTable(has_prefix=True),
    "relative_mlp, swin": RelativeMlp(mode="swin"),
    "kerple, power": Kerple(kernel="power"),
    "look_here, 90": LookHere(field_of_view=90),
    "look_here, 45": LookHere(field_of_view=45),
}
_FIELDS = {name: tuple(field.name for field in dataclasses.fields(value)) for name, value in DEFAULTS.items()}
OF_A_LAYER = {
    f"{name}, per layer": dataclasses.replace(value, per_head=False)
    for name, value in DEFAULTS.items()
    if "per_head" in _FIELDS[name] and vars(value)["per_head"]
}
CASES = DEFAULTS | OF_A_LAYER | VARIANTS

NUM_HEADS = 4
GRID = (3, 5)


def drawn(term, *, grid=GRID, num_heads=NUM_HEADS):
    """The parameters with which a term starts."""
    return dict(_drawn(term, grid, num_heads))


@functools.cache
def _drawn(term, grid, num_heads):
    return term.init(jax.random.key(0), grid=grid, num_heads=num_heads)


def moved(term):
    """Parameters away from the start, no two equal and none zero."""

    def shifted(leaf):
        steps = np.arange(leaf.size, dtype=np.float32).reshape(leaf.shape)
        return jnp.asarray(
            np.asarray(leaf) * np.float32(1.1) + np.float32(0.07) + np.float32(0.013) * np.sin(1 + steps)
        )

    return {name: shifted(leaf) for name, leaf in drawn(term).items()}
