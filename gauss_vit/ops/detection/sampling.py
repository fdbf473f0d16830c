"""A sample of matched boxes of fixed size, balanced between objects and background."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, PyTree

from gauss_vit.ops.detection.matching import BACKGROUND


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Sample:
    """Chosen boxes of one image: first those of objects, then those of background, then padding.

    Attributes:
      index: int32 [size], place of each among the boxes; 0 in padding.
      is_positive: bool [size], whether it is matched to an object.
      is_real: bool [size], False in padding.
    """

    index: PyTree
    is_positive: PyTree
    is_real: PyTree


def sample(
    matched: Int32[Array, " boxes"], priority: Float[Array, " boxes"], *, size: int, largest_share: float
) -> Sample:
    """Chooses boxes at random, as many as there are places for.

    Args:
      matched: object of each box, as `matching.match` returns it; ignored boxes are never chosen.
      priority: uniform random numbers; the lowest are chosen, of equal ones the first.
      size: number of places.
      largest_share: largest share of the places that boxes of objects take; background takes the others.

    Source: MMDetection `RandomSampler`, whose random permutation is the order of the priorities here.
    """
    largest = int(size * largest_share)
    positives, num_positives = _first(matched >= 0, priority, at_most=largest)
    negatives, num_negatives = _first(matched == BACKGROUND, priority, at_most=size)
    place = jnp.arange(size, dtype=jnp.int32)
    is_positive = place < num_positives
    is_real = place < num_positives + num_negatives
    index = jnp.where(is_positive, _padded(positives, size), negatives[jnp.maximum(place - num_positives, 0)])
    return Sample(index=jnp.where(is_real, index, 0), is_positive=is_positive, is_real=is_real)


def _first(
    is_candidate: Bool[Array, " boxes"], priority: Float[Array, " boxes"], *, at_most: int
) -> tuple[Int32[Array, " places"], Int32[Array, ""]]:
    """Returns the candidates of lowest priority, padded, and how many there are."""
    places = min(at_most, len(priority))
    _, index = jax.lax.top_k(jnp.where(is_candidate, -priority, -jnp.inf), places)
    number = jnp.minimum(jnp.sum(is_candidate, dtype=jnp.int32), places)
    return _padded(index, at_most), number


def _padded(index: Int32[Array, " places"], size: int) -> Int32[Array, " size"]:
    return jnp.pad(index, (0, size - len(index)))
