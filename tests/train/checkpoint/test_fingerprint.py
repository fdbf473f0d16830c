"""Fingerprints against numpy, and against every kind of damage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from gauss_vit.train import mesh as meshes
from gauss_vit.train.checkpoint.fingerprint import fingerprints
from gauss_vit.train.mesh import MeshConfig


def scramble(word: np.ndarray) -> np.ndarray:
    word = ((word ^ (word >> 16)) * 0x85EBCA6B) % 2**32
    word = ((word ^ (word >> 13)) * 0xC2B2AE35) % 2**32
    return word ^ (word >> 16)


def oracle(array: np.ndarray) -> int:
    unsigned = {1: np.uint8, 2: np.uint16, 4: np.uint32}[array.dtype.itemsize]
    bits = np.ascontiguousarray(array).reshape(-1).view(unsigned).astype(np.uint64)
    positions = np.arange(1, bits.size + 1, dtype=np.uint64)
    return int(scramble(bits ^ scramble(positions)).sum() % 2**32)


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "float16", "bool"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (2, 3, 5)])
def test_word_is_the_sum_of_scrambled_bits_and_positions(dtype: str, shape: tuple[int, ...]):
    array = np.asarray(np.random.default_rng(0).normal(size=shape) * 10).astype(dtype)
    assert fingerprints({"a": {"b": jnp.asarray(array)}}) == {"a.b": oracle(array)}


def test_bfloat16_is_read_as_16_bits():
    array = jnp.asarray([1.0, -2.5, 3.0], jnp.bfloat16)
    assert fingerprints([array]) == {"0": oracle(np.asarray(array).view(np.uint16))}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 23), st.integers(0, 31))
def test_every_flipped_bit_shows(position: int, bit: int):
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    damaged = array.copy()
    damaged.view(np.uint32).reshape(-1)[position] ^= np.uint32(1 << bit)
    assert fingerprints([array]) != fingerprints([damaged])


def test_swapped_rows_show():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert fingerprints([array]) != fingerprints([array[[1, 0, 2, 3]]])


def test_zeros_are_not_invisible():
    assert fingerprints([np.zeros(4, np.float32)]) != fingerprints([np.zeros(5, np.float32)])


def test_minus_zero_is_not_zero():
    assert fingerprints([np.float32([0.0])]) != fingerprints([np.float32([-0.0])])


@pytest.mark.parametrize(
    "spec", [PartitionSpec(), PartitionSpec("data"), PartitionSpec(None, "fsdp"), PartitionSpec("fsdp", "data")]
)
def test_word_does_not_depend_on_the_sharding(spec: PartitionSpec):
    array = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    mesh = meshes.make(MeshConfig(data=4, fsdp=2), jax.devices())
    sharded = jax.device_put(array, NamedSharding(mesh, spec))
    assert fingerprints([sharded]) == {"0": oracle(array)}
