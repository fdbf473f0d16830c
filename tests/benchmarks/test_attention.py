"""The benchmark of attention: what is compared where, its bars, and the check of every kernel."""

import argparse
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import attention, attention_check, attention_sides
from benchmarks.attention_sides import Case
from gauss_vit.kernels import cudnn

CASE = Case(batch_size=2, grid=(4, 4), prefix_tokens=1, dtype="float32")


def case(num_tokens: int, dtype: str) -> Case:
    return Case(batch_size=2, grid=attention.grid_of(str(num_tokens)), prefix_tokens=0, dtype=dtype)


def test_cases_are_batches_by_square_grids():
    assert attention.sizes("1024x196,2x4096") == [(1024, (14, 14)), (2, (64, 64))]
    assert attention.grids("64,576") == [(8, 8), (24, 24)]
    assert attention.sizes("") == []
    with pytest.raises(argparse.ArgumentTypeError, match="65 tokens are not a square grid; choose 64"):
        attention.sizes("1x65")


def test_a_cpu_compares_the_ports_bias_with_every_kernel_of_ours():
    sides, absent = attention_sides.sides_of(CASE)
    assert list(sides) == ["port", "whole", "einsum", "rows", "chosen"] and absent == []


@pytest.mark.parametrize(
    ("num_tokens", "dtype", "fault", "added", "left_out"),
    [
        (196, "bfloat16", "", ["cudnn", "unbiased"], []),
        (196, "bfloat16", "the result differs", ["unbiased"], ["cudnn"]),
        (64, "bfloat16", "", ["cudnn"], ["unbiased"]),
        (196, "float32", "", [], ["cudnn", "unbiased"]),
    ],
)
def test_a_gpu_adds_cudnn_where_it_can(monkeypatch, num_tokens, dtype, fault, added, left_out):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(cudnn, "fault", lambda *_, **__: fault)
    sides, absent = attention_sides.sides_of(case(num_tokens, dtype))
    assert list(sides)[5:] == added
    assert [line.split("without ")[1].split(",")[0] for line in absent] == left_out


def test_rows_name_the_chosen_kernel_and_judge_large_sizes_alone():
    names = ("port", "whole", "chosen", "unbiased")
    found = {name: [10.0] for name in names}, {name: [1.0] for name in names}
    small, large = (attention.table(case(size, "bfloat16"), "cudnn", found) for size in (196, 4096))
    assert all(row.at_most is None for row in small)
    assert {row.what: row.at_most for row in large if row.at_most} == {
        "2 x 4096 tokens, chosen (cudnn): time": 0.6,
        "2 x 4096 tokens, chosen (cudnn): memory": 0.1,
        "2 x 4096 tokens, chosen (cudnn) / cuDNN without bias: time": 1.3,
    }
    assert len(large) == 2 * 3 + 1


def test_the_port_is_the_attention_of_the_models():
    *tokens, _, _ = attention_sides.inputs_of(CASE)
    offsets = jax.random.normal(jax.random.key(1), (attention_sides.HEADS, 7, 7), jnp.float32)
    port, chosen = (
        side(*tokens, offsets=offsets, grid=CASE.grid)
        for side in (attention_sides.port, attention_sides.sides_of(CASE)[0]["chosen"])
    )
    np.testing.assert_allclose(port, chosen, atol=1e-5)


def test_every_kernel_is_checked_and_right():
    table = attention_check.checked(CASE)
    kernels = {row.what.split(": ")[0] for row in table}
    assert kernels == {f"16 tokens, {name}" for name in ("reference", "whole", "einsum", "rows", "chosen (whole)")}
    assert len(table) == 2 * len(kernels)
    assert all(row.ours.median < 1e-5 and row.at_most == 0.002 and ", finite" in row.what for row in table)


def test_gradients_that_are_not_finite_and_kernels_that_fail_are_seen(monkeypatch):
    @jax.custom_vjp
    def spoiled(value):
        return value

    spoiled.defvjp(lambda value: (value, None), lambda _, gradient: (gradient * jnp.nan,))

    def wrong(query, key, value, *, offsets, grid):
        return attention_sides.port(query, key, spoiled(value), offsets=offsets, grid=grid)

    def failing(query, key, value, *, offsets, grid):
        raise RuntimeError("no engine\nat all")

    monkeypatch.setattr(attention_check, "OURS", {"wrong": wrong, "failing": failing})
    _, _, result, gradient, failed, *_ = attention_check.checked(CASE)
    assert result.ours.median < 1e-5
    assert "worst gradient, of values, not finite" in gradient.what and math.isnan(gradient.ours.median)
    assert "failing fails: no engine, not finite" in failed.what and math.isnan(failed.ours.median)


def test_a_distance_is_a_share_of_what_is_expected():
    assert attention_check.distance(np.array([3.0, 5.0]), np.array([3.0, 4.0])) == pytest.approx(0.2)
    assert math.isnan(attention_check.distance(np.array([np.inf]), np.array([1.0])))
