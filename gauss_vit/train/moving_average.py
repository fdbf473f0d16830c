"""The exponential moving average of the parameters, often a better model than the last, for one more copy of them."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from gauss_vit.train.state import TrainState


def begin(state: TrainState, decay: float | None) -> TrainState:
    """Returns the state with an average that starts at the parameters.

    Args:
      state: State without an average.
      decay: Decay per update; None keeps no average.
    """
    if decay is None:
        return state
    # A copy, as the step donates every buffer once.
    return dataclasses.replace(state, ema=jax.tree.map(jnp.copy, state.params))


def follow(average: PyTree, params: PyTree, decay: float) -> PyTree:
    """Updates an average by 1 - decay towards the parameters; after n steps the initial value has the weight decay^n.

    Computed as a + (1 - d)(p - a): in d a + (1 - d) p the rounded weights of d = 0.99996 miss 1 by about 1e-8, which
    over 1 / (1 - d) steps would become a bias of nearly 1e-3.

    Source: timm's `ModelEma`, without a warm-up and without bias correction.
    """
    return jax.tree.map(lambda old, new: old + jnp.asarray(1 - decay, old.dtype) * (new - old), average, params)
