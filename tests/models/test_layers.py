"""Stacked layers: one after the other, in a loop or without one."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jaxtyping import PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.models import construct
from gauss_vit.models.compute import Compute
from gauss_vit.models.layers import layers_per_turn, scan_layers
from gauss_vit.models.presets.vit import RELPOS_SMALL
from gauss_vit.position.position import Position
from tests.networks import classifier

DEPTH = 3


def layer(carry: jax.Array, params: dict) -> tuple[jax.Array, jax.Array]:
    kept = jax.random.bernoulli(params["key"], 0.5, carry.shape).astype(carry.dtype)
    outputs = jnp.tanh(carry @ params["kernel"]) * kept
    return outputs, carry


def arguments() -> tuple[jax.Array, jax.Array]:
    first, second = jax.random.split(jax.random.key(0))
    return jax.random.normal(first, (2, 4)), jax.random.normal(second, (DEPTH, 4, 4))


def outcome(unroll: int) -> tuple:
    start, kernel = arguments()
    keys = jax.random.split(jax.random.key(1), DEPTH)

    def total(start: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple]:
        last, entering = scan_layers(layer, start, {"kernel": kernel, "key": keys}, unroll=unroll)
        return jnp.sum(last), (last, entering)

    return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(start, kernel)


@pytest.mark.parametrize("unroll", [2, 3, 12])
def test_layers_without_a_loop_compute_what_a_loop_does(unroll: int):
    chex.assert_trees_all_close(outcome(unroll), outcome(1), rtol=1e-6, atol=1e-7)


def test_nothing_is_stacked_for_the_backward_pass_without_a_loop():
    start, kernel = arguments()

    def total(kernel: jax.Array, *, unroll: int) -> jax.Array:
        return jnp.sum(scan_layers(lambda carry, one: (jnp.tanh(carry @ one), None), start, kernel, unroll=unroll)[0])

    texts = [
        jax.jit(jax.grad(total), static_argnames="unroll").lower(kernel, unroll=unroll).as_text()
        for unroll in (1, DEPTH)
    ]
    stacked = f"tensor<{DEPTH}x{start.shape[0]}x"
    assert [stacked in text for text in texts] == [True, False]
    # The gradient of the parameters is one concatenation.
    assert "stablehlo.pad" not in texts[1]


@pytest.mark.parametrize(
    ("compute", "turn"),
    [
        (Compute(), 1),
        (Compute(dtype="bfloat16"), 12),
        (Compute(dtype="bfloat16", remat="full"), 1),
        (Compute(platform="gpu"), 12),
        (Compute(platform="tpu"), 12),
        (Compute(platform="gpu", remat="full"), 1),
        (Compute(platform="tpu", remat="dots"), 1),
        (Compute(unroll=3), 3),
        (Compute(platform="gpu", unroll=1), 1),
        (Compute(platform="tpu", remat="full", unroll=99), 12),
    ],
    ids=str,
)
def test_a_loop_is_for_float32_on_cpus_and_for_what_is_recomputed(compute: Compute, turn: int):
    assert layers_per_turn(compute, 12) == turn


def test_an_unroll_below_one_is_refused():
    with pytest.raises(ConfigError, match="unroll must be at least 1, got 0"):
        Compute(unroll=0)


def test_a_turn_holds_as_many_layers_as_its_blocks_make():
    assert [layers_per_turn(Compute(unroll=unroll), 6, blocks_per_layer=2) for unroll in (1, 2, 5, 99)] == [1, 1, 2, 6]


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_what_is_recomputed_without_a_loop_is_held_apart_from_what_was_computed(remat):
    start, kernel = arguments()

    def total(kernel: jax.Array, *, unroll: int, remat: str) -> jax.Array:
        def body(carry, one):
            return jnp.tanh(jnp.tanh(carry @ one) * 2), None

        return jnp.sum(scan_layers(body, start, kernel, unroll=unroll, remat=remat)[0])

    def barriers(unroll: int, remat: str) -> int:
        program = jax.jit(jax.grad(partial(total, unroll=unroll, remat=remat)))
        return program.lower(kernel).as_text().count("stablehlo.optimization_barrier")

    assert [barriers(DEPTH, remat), barriers(1, remat), barriers(DEPTH, "none")] == [DEPTH, 0, 0]


def test_no_layers_leave_the_start():
    start, kernel = arguments()
    last, outputs = scan_layers(lambda carry, one: (carry @ one, None), start, kernel[:0], unroll=4)
    np.testing.assert_array_equal(last, start)
    assert outputs is None


def test_layers_that_are_known_in_advance_are_plain_numbers_without_a_loop():
    seen = []
    scan_layers(lambda carry, index: (carry, seen.append(index)), jnp.zeros(()), np.arange(DEPTH), unroll=DEPTH)
    assert seen == [0, 1, 2]


def test_what_is_recomputed_costs_operations_and_saves_memory_in_this_order():
    def cost(remat: str) -> tuple[float, int]:
        config = dataclasses.replace(
            RELPOS_SMALL,
            image_size=(64, 64),
            width=64,
            num_heads=2,
            depth=3,
            compute=Compute(remat=remat),
            position=Position(),
        )
        graph, params = construct.abstract(classifier(config))

        def total(params: PyTree, images: jax.Array) -> jax.Array:
            return jnp.sum(jnp.square(nnx.merge(graph, params)(images)))

        images = jax.ShapeDtypeStruct((16, 64, 64, 3), jnp.float32)
        compiled = jax.jit(jax.grad(total)).lower(params, images).compile()
        return compiled.cost_analysis()["flops"], compiled.memory_analysis().temp_size_in_bytes

    (none, most), (dots, some), (full, least) = (cost(remat) for remat in ("none", "dots", "full"))
    assert none < dots < full
    assert least < some < most
