"""A function that is compiled to run once computes what it computes otherwise, where it is told to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gauss_vit.compilation import jit_once


def draw(key):
    return {"kernel": jax.random.truncated_normal(key, -2.0, 2.0, (16, 8), jnp.float32), "scale": jnp.ones(8)}


def test_numbers_are_those_of_jit_to_their_last_bits():
    key = jax.random.key(0)
    found, expected = jit_once(draw)(key), jax.jit(draw)(key)
    np.testing.assert_allclose(found["kernel"], expected["kernel"], rtol=1e-6)
    np.testing.assert_array_equal(found["scale"], expected["scale"])


def test_results_lie_where_they_should():
    sharding = NamedSharding(Mesh(np.asarray(jax.devices()), ("data",)), PartitionSpec("data"))
    found = jit_once(draw, out_shardings=sharding)(jax.random.key(0))
    assert {leaf.sharding for leaf in found.values()} == {sharding}


@pytest.mark.parametrize(("backend", "level"), [("cpu", 0), ("tpu", None)])
def test_a_cpu_alone_skips_optimizations(backend, level, monkeypatch):
    asked = []

    def jit(function, *, out_shardings, compiler_options):
        asked.append(compiler_options)
        return function

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(jax, "jit", jit)
    jit_once(draw)
    (options,) = asked
    assert (options or {}).get("xla_backend_optimization_level") == level
