"""A 32-bit fingerprint of each array, which shows after a restore whether any bit changed.

Every element's bits are scrambled together with its position, and the scrambled words are summed modulo 2^32. Integer
sums are associative, so that the word is the same on any mesh and under any sharding. A change of one word is
always found, as the scrambling is a bijection; larger damage is missed with a probability of 2^-32 per array.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Shaped, UInt32

from gauss_vit.tree import flatten_paths

_WORDS = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}


def fingerprints(tree: PyTree) -> dict[str, int]:
    """Maps the path of every array to its fingerprint.

    Args:
      tree: arrays of numbers of at most 32 bits, or bools.
    """
    leaves = flatten_paths(tree)
    words = np.asarray(_all_words(list(leaves.values())))
    return {path: int(word) for path, word in zip(leaves, words, strict=True)}


@jax.jit
def _all_words(leaves: list[PyTree]) -> UInt32[Array, " leaves"]:
    return jnp.stack([_word(leaf) for leaf in leaves])


def _word(leaf: Shaped[Array, "..."]) -> UInt32[Array, ""]:
    """Scrambles and sums one array."""
    if leaf.dtype == jnp.bool_:
        leaf = leaf.astype(jnp.uint8)
    bits = jax.lax.bitcast_convert_type(leaf, _WORDS[leaf.dtype.itemsize]).astype(jnp.uint32)
    return jnp.sum(_scramble(bits ^ _scramble(_positions(leaf.shape))), dtype=jnp.uint32)


def _positions(shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Numbers the elements in row-major order, modulo 2^32, without a reshape, which could gather a sharded array."""
    strides = [math.prod(shape[axis + 1 :]) % 2**32 for axis in range(len(shape))]
    terms = [
        jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride) for axis, stride in enumerate(strides)
    ]
    return functools.reduce(jnp.add, terms, jnp.ones(shape, jnp.uint32))


def _scramble(word: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Mixes the bits of each word; a bijection in which every output bit depends on every input bit.

    Source: the final mix of MurmurHash3 by Austin Appleby, in the public domain.
    """
    word = (word ^ (word >> jnp.uint32(16))) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> jnp.uint32(13))) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> jnp.uint32(16))
