"""Counter-based random numbers from an integer hash: a key gives the same numbers on every machine and version.

NumPy does not promise the same stream in all its versions, so the order of examples and their augmentation come from
here. Keys are unsigned 64-bit integers as plain Python ints; nothing holds state. Functions that end in `_all` compute
the same numbers for a whole array at once, in a fraction of the time.
"""

import numpy as np
from jaxtyping import UInt64

MASK = (1 << 64) - 1
GOLDEN_GAMMA = 0x9E3779B97F4A7C15
NUM_ROUNDS = 6


def mix(value: int) -> int:
    """Scrambles a 64-bit integer: a bijection in which every input bit reaches every output bit.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), SplitMix64.
    """
    value = (value + GOLDEN_GAMMA) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def fold(*words: int) -> int:
    """Hashes words to a key that depends on every one and on their order.

    Args:
      *words: integers of at most 64 bits; negative ones count modulo 2^64.
    """
    key = 0
    for word in words:
        key = mix(key ^ mix(word & MASK))
    return key


def mix_all(values: UInt64[np.ndarray, "*shape"]) -> UInt64[np.ndarray, "*shape"]:
    """`mix` of every number; arrays of this type wrap around by themselves."""
    values = values + GOLDEN_GAMMA
    values = (values ^ (values >> 30)) * 0xBF58476D1CE4E5B9
    values = (values ^ (values >> 27)) * 0x94D049BB133111EB
    return values ^ (values >> 31)


def fold_all(key: int, *words: UInt64[np.ndarray, " count"]) -> UInt64[np.ndarray, " count"]:
    """The keys `fold(first, ..., word, ...)` with `key = fold(first, ...)`: as many as each word has values."""
    keys = np.full(words[0].shape, key, np.uint64)
    for word in words:
        keys = mix_all(keys ^ mix_all(word))
    return keys


def uniform(key: int, draw: int) -> float:
    """Computes the draw-th number of this key's stream, uniform in [0, 1) with 53 random bits."""
    return (fold(key, draw) >> 11) * 2.0**-53


def below(bound: int, *, key: int, draw: int) -> int:
    """Computes the draw-th integer of this key's stream, uniform in 0..bound-1 (bias below bound / 2^64)."""
    return (fold(key, draw) * bound) >> 64


def permute(index: int, *, size: int, key: int) -> int:
    """Permutes one index by a permutation of 0..size-1 that the key chooses, without a table of the others.

    A Feistel network permutes the next even power of two; an image that falls outside is permuted again until it is
    inside (cycle walking), which keeps the map a bijection and takes fewer than four rounds on average.

    Args:
      index: in 0..size-1.
      size: how many indices are permuted, at least 1.
      key: chooses the permutation.

    Raises:
      IndexError: index is not in 0..size-1.

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains" (2002).
    """
    if not 0 <= index < size:
        raise IndexError(f"index {index} is not in 0..{size - 1}")
    half_bits = _half_bits(size)
    image = _feistel(index, half_bits=half_bits, key=key)
    while image >= size:
        image = _feistel(image, half_bits=half_bits, key=key)
    return image


def permute_all(
    indices: UInt64[np.ndarray, " count"], *, size: int, keys: UInt64[np.ndarray, " count"]
) -> UInt64[np.ndarray, " count"]:
    """`permute` of every index by the permutation that its own key chooses.

    Args:
      indices: each in 0..size-1, which is not checked.
      size: how many indices are permuted.
      keys: one for each index.
    """
    half_bits = _half_bits(size)
    images = _feistel_all(indices, half_bits=half_bits, keys=keys)
    while (outside := np.flatnonzero(images >= size)).size:
        images[outside] = _feistel_all(images[outside], half_bits=half_bits, keys=keys[outside])
    return images


def _half_bits(size: int) -> int:
    """Half the bits of the least even power of two, at least 4, that is not below the size."""
    return max(1, ((size - 1).bit_length() + 1) // 2)


def _feistel(value: int, *, half_bits: int, key: int) -> int:
    """A keyed bijection of 0..2^(2 half_bits)-1."""
    half_mask = (1 << half_bits) - 1
    left, right = value >> half_bits, value & half_mask
    for turn in range(NUM_ROUNDS):
        left, right = right, left ^ (fold(key, turn, right) & half_mask)
    return (left << half_bits) | right


def _feistel_all(
    values: UInt64[np.ndarray, " count"], *, half_bits: int, keys: UInt64[np.ndarray, " count"]
) -> UInt64[np.ndarray, " count"]:
    """`_feistel` of every value with its own key."""
    half_mask = (1 << half_bits) - 1
    stems = mix_all(mix_all(keys))
    left, right = values >> half_bits, values & half_mask
    for turn in range(NUM_ROUNDS):
        round_keys = mix_all(stems ^ mix(turn))
        left, right = right, left ^ (mix_all(round_keys ^ mix_all(right)) & half_mask)
    return (left << half_bits) | right
