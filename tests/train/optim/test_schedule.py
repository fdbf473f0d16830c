"""Schedules against closed forms, at every step."""

import dataclasses
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.train.optim.schedule import Constant, Cosine, LearningRate, Polynomial, Schedule, Step

# One float32 rounding of values up to 1, and of a cosine near pi: a few units of the last place.
TOLERANCE = {"rtol": 2e-6, "atol": 1e-8}


def values(rate: LearningRate, num_steps: int) -> np.ndarray:
    return np.asarray([rate(step) for step in range(num_steps)])


def test_constant_is_the_peak_everywhere():
    np.testing.assert_array_equal(values(Constant().make(0.25, 10), 12), np.full(12, 0.25, np.float32))


def test_cosine_is_half_a_cosine_from_peak_to_final():
    expected = [0.01 + (0.5 - 0.01) / 2 * (1 + math.cos(math.pi * step / 20)) for step in range(21)]
    np.testing.assert_allclose(values(Cosine(final=0.01).make(0.5, 20), 21), expected, **TOLERANCE)


def test_cosine_holds_its_final_value_after_its_end():
    np.testing.assert_allclose(values(Cosine(final=0.02).make(0.5, 4), 9)[4:], 0.02, **TOLERANCE)


@pytest.mark.parametrize(
    "schedule", [Cosine(warmup_steps=4, warmup_start=0.1), Constant(warmup_steps=4, warmup_start=0.1)]
)
def test_warmup_rises_linearly_to_the_peak(schedule: Cosine | Constant):
    expected = [0.1 + 0.9 * step / 4 for step in range(5)]
    np.testing.assert_allclose(values(schedule.make(1.0, 12), 5), expected, **TOLERANCE)


def test_cosine_after_a_warmup_lasts_for_the_rest_of_the_run():
    expected = [0.5 * (1 + math.cos(math.pi * (step - 4) / 8)) for step in range(4, 13)]
    np.testing.assert_allclose(values(Cosine(warmup_steps=4).make(1.0, 12), 13)[4:], expected, **TOLERANCE)


def test_total_steps_fixes_the_length_whatever_the_run():
    schedule = Cosine(total_steps=10)
    np.testing.assert_array_equal(values(schedule.make(1.0, 10), 15), values(schedule.make(1.0, 1000), 15))


def test_step_multiplies_by_the_factor_from_each_boundary_on():
    actual = values(Step(boundaries=(3, 5), factor=0.5).make(1.0, 8), 8)
    np.testing.assert_allclose(actual, [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25], **TOLERANCE)


def test_step_rises_to_the_peak_first():
    actual = values(Step(boundaries=(4,), warmup_steps=2).make(1.0, 8), 5)
    np.testing.assert_allclose(actual, [0, 0.5, 1, 1, 0.1], **TOLERANCE)


def test_polynomial_is_a_power_of_what_is_left():
    expected = [0.1 + 0.9 * (1 - step / 8) ** 2 for step in range(9)]
    actual = values(Polynomial(power=2.0, final=0.1).make(1.0, 8), 11)
    np.testing.assert_allclose(actual[:9], expected, **TOLERANCE)
    np.testing.assert_allclose(actual[8:], 0.1, **TOLERANCE)


def test_polynomial_of_power_one_is_a_straight_line_after_the_warmup():
    actual = values(Polynomial(warmup_steps=2, total_steps=6).make(1.0, 100), 8)
    np.testing.assert_allclose(actual, [0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0], **TOLERANCE)


COOLING = {
    "constant": Constant(warmup_steps=2, final=0.25, cooldown_steps=3),
    "cosine": Cosine(warmup_steps=2, final=0.25, cooldown_steps=3),
    "polynomial": Polynomial(warmup_steps=2, final=0.25, cooldown_steps=3),
    "step": Step(boundaries=(4,), warmup_steps=2, final=0.25, cooldown_steps=3),
}


@pytest.mark.parametrize("name", COOLING)
def test_cooldown_is_at_the_final_rate_and_the_rest_is_a_shorter_run(name: str):
    actual = values(COOLING[name].make(1.0, 12), 12)
    np.testing.assert_array_equal(actual[9:], np.full(3, 0.25, np.float32))
    shorter = values(dataclasses.replace(COOLING[name], cooldown_steps=0).make(1.0, 9), 9)
    np.testing.assert_array_equal(actual[:9], shorter)


@pytest.mark.parametrize(("counts_from", "total_steps"), [("after_warmup", 30), ("with_warmup", 30)])
def test_cosine_with_cooldown_is_that_of_timm(counts_from: str, total_steps: int):
    recorded = np.load(Path(__file__).with_name("timm_schedule.npz"))[counts_from]
    schedule = Cosine(warmup_steps=5, warmup_start=0.001, final=0.01, cooldown_steps=6, counts_from=counts_from)
    np.testing.assert_allclose(values(schedule.make(0.5, total_steps), 30), recorded, **TOLERANCE)


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(warmup_steps=2),
        Cosine(warmup_steps=2),
        Polynomial(warmup_steps=2, power=0.9),
        Step(boundaries=(3,), warmup_steps=2, cooldown_steps=1),
    ],
)
def test_rates_are_float32_and_agree_under_jit(schedule: Schedule):
    rate = schedule.make(0.3, 10)
    for step in range(10):
        compiled = jax.jit(rate)(jnp.int32(step))
        assert compiled.dtype == jnp.float32 and compiled.shape == ()
        np.testing.assert_allclose(compiled, rate(step), **TOLERANCE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cosine(warmup_steps=-1), "warmup_steps must be"),
        (lambda: Cosine(final=float("nan")), "final must be"),
        (lambda: Constant(warmup_start=-1.0), "warmup_start must be"),
        (lambda: Cosine(warmup_steps=5, total_steps=5), "total_steps 5 must exceed"),
        (lambda: Step(boundaries=(5, 5)), "rising"),
        (lambda: Step(boundaries=(0,)), "positive"),
        (lambda: Step(boundaries=(1,), factor=0.0), "factor must be"),
        (lambda: Cosine(warmup_steps=10).make(1.0, 10), "leaves no step"),
        (lambda: Cosine(warmup_steps=5, cooldown_steps=5).make(1.0, 10), "with cooldown_steps 5 leaves no step"),
        (lambda: Polynomial(warmup_steps=10).make(1.0, 10), "leaves no step"),
        (lambda: Constant(cooldown_steps=10).make(1.0, 10), "leaves no step"),
        (lambda: Step(boundaries=(1,), cooldown_steps=-1), "cooldown_steps must be"),
        (lambda: Polynomial(power=0.0), "power must be"),
    ],
)
def test_nonsense_is_refused(make, message: str):
    with pytest.raises(ConfigError, match=message):
        make()
