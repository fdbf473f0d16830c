"""Schedules against closed forms, at every step."""

import dataclasses
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit import experiment
from gauss_vit.errors import ConfigError
from gauss_vit.train.optim import Constant, Cooldown, Cosine, Curve, Polynomial, Schedule, Step, Warmup
from gauss_vit.train.optim.optimizer import learning_rate

# One float32 rounding of values up to 1, and of a cosine near pi: a few units of the last place.
TOLERANCE = {"rtol": 2e-6, "atol": 1e-8}


CURVES = {
    "constant": Constant(),
    "cosine": Cosine(final=0.25),
    "polynomial": Polynomial(power=2.0, final=0.25),
    "step": Step(boundaries=(4,)),
}


def values(schedule: Schedule, peak: float, num_steps: int, *, up_to: int) -> np.ndarray:
    rate = schedule.learning_rate(peak, num_steps)
    return np.asarray([rate(step) for step in range(up_to)])


def test_constant_is_the_peak_everywhere():
    np.testing.assert_array_equal(values(Schedule(curve=Constant()), 0.25, 10, up_to=12), np.full(12, 0.25, np.float32))


def test_cosine_is_half_a_cosine_from_peak_to_final():
    expected = [0.01 + (0.5 - 0.01) / 2 * (1 + math.cos(math.pi * step / 20)) for step in range(21)]
    np.testing.assert_allclose(values(Schedule(curve=Cosine(final=0.01)), 0.5, 20, up_to=21), expected, **TOLERANCE)


def test_cosine_holds_its_final_value_after_its_end():
    np.testing.assert_allclose(values(Schedule(curve=Cosine(final=0.02)), 0.5, 4, up_to=9)[4:], 0.02, **TOLERANCE)


@pytest.mark.parametrize("name", CURVES)
def test_warmup_rises_linearly_to_the_peak(name: str):
    expected = [0.1 + 0.9 * step / 4 for step in range(4)]
    schedule = Schedule(curve=CURVES[name], warmup=Warmup(steps=4, start=0.1))
    np.testing.assert_allclose(values(schedule, 1.0, 12, up_to=4), expected, **TOLERANCE)


def test_cosine_after_a_warmup_lasts_for_the_rest_of_the_run():
    expected = [0.5 * (1 + math.cos(math.pi * (step - 4) / 8)) for step in range(4, 13)]
    np.testing.assert_allclose(values(Schedule(warmup=Warmup(steps=4)), 1.0, 12, up_to=13)[4:], expected, **TOLERANCE)


@pytest.mark.parametrize("name", CURVES)
def test_total_steps_fixes_the_length_whatever_the_run(name: str):
    schedule = Schedule(curve=CURVES[name], cooldown=Cooldown(steps=3, rate=0.1), total_steps=10)
    np.testing.assert_array_equal(values(schedule, 1.0, 10, up_to=15), values(schedule, 1.0, 1000, up_to=15))


def test_step_multiplies_by_the_factor_from_each_boundary_on():
    actual = values(Schedule(curve=Step(boundaries=(3, 5), factor=0.5)), 1.0, 8, up_to=8)
    np.testing.assert_allclose(actual, [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25], **TOLERANCE)


def test_shares_are_boundaries_of_a_run_of_any_length():
    epochs = Step(shares=(27 / 36, 33 / 36))
    for num_steps in (36, 360):
        expected = Step(boundaries=(27 * num_steps // 36, 33 * num_steps // 36))
        np.testing.assert_array_equal(
            *(values(Schedule(curve=curve), 1.0, num_steps, up_to=num_steps) for curve in (epochs, expected))
        )


def test_shares_are_of_the_run_up_to_its_cooldown():
    schedule = Schedule(curve=Step(shares=(0.5,)), warmup=Warmup(steps=1), cooldown=Cooldown(steps=2))
    np.testing.assert_allclose(values(schedule, 1.0, 8, up_to=8), [0, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1], **TOLERANCE)


def test_step_rises_to_the_peak_first():
    actual = values(Schedule(curve=CURVES["step"], warmup=Warmup(steps=2)), 1.0, 8, up_to=5)
    np.testing.assert_allclose(actual, [0, 0.5, 1, 1, 0.1], **TOLERANCE)


def test_polynomial_is_a_power_of_what_is_left():
    expected = [0.1 + 0.9 * (1 - step / 8) ** 2 for step in range(9)]
    actual = values(Schedule(curve=Polynomial(power=2.0, final=0.1)), 1.0, 8, up_to=11)
    np.testing.assert_allclose(actual[:9], expected, **TOLERANCE)
    np.testing.assert_allclose(actual[8:], 0.1, **TOLERANCE)


def test_polynomial_of_power_one_is_a_straight_line_after_the_warmup():
    schedule = Schedule(curve=Polynomial(), warmup=Warmup(steps=2), total_steps=6)
    actual = values(schedule, 1.0, 100, up_to=8)
    np.testing.assert_allclose(actual, [0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0], **TOLERANCE)


@pytest.mark.parametrize("name", CURVES)
def test_cooldown_is_at_its_rate_and_the_rest_is_a_shorter_run(name: str):
    schedule = Schedule(curve=CURVES[name], warmup=Warmup(steps=2), cooldown=Cooldown(steps=3, rate=0.125))
    actual = values(schedule, 1.0, 12, up_to=12)
    np.testing.assert_array_equal(actual[9:], np.full(3, 0.125, np.float32))
    shorter = values(dataclasses.replace(schedule, cooldown=Cooldown()), 1.0, 9, up_to=9)
    np.testing.assert_array_equal(actual[:9], shorter)


@pytest.mark.parametrize("name", CURVES)
def test_cooldown_without_a_rate_holds_what_the_curve_has_come_to(name: str):
    actual = values(Schedule(curve=CURVES[name], cooldown=Cooldown(steps=3)), 1.0, 12, up_to=12)
    np.testing.assert_array_equal(actual[9:], np.full(3, actual[9]))
    if name in ("cosine", "polynomial"):
        assert actual[9] == 0.25


UPERNET = Schedule(curve=Polynomial(), warmup=Warmup(steps=1500, start=6e-11, is_prefix=False, rises_to="curve"))


@pytest.mark.parametrize("step", [0, 1, 749, 1499, 1500, 1501, 80_000, 159_999])
def test_warmup_to_the_curve_is_that_of_mmcv(step: int):
    regular = 6e-5 * (1 - step / 160_000)
    expected = regular * (1 - (1 - step / 1500) * (1 - 1e-6)) if step < 1500 else regular
    actual = UPERNET.learning_rate(6e-5, 160_000)(step)
    # Of the shares step / 160,000 and step / 1500, and of what is left of 1, each is rounded once.
    np.testing.assert_allclose(actual, expected, rtol=5e-7, atol=6e-5 * np.finfo(np.float32).eps)


def test_warmup_to_the_curve_starts_at_its_own_rate():
    np.testing.assert_allclose(UPERNET.learning_rate(6e-5, 160_000)(0), 6e-11, rtol=1e-6)


@pytest.mark.parametrize("name", ["constant", "cosine", "polynomial"])
def test_warmup_to_a_curve_that_follows_it_rises_to_the_peak(name: str):
    to_curve = Schedule(curve=CURVES[name], warmup=Warmup(steps=4, start=0.1, rises_to="curve"))
    to_peak = Schedule(curve=CURVES[name], warmup=Warmup(steps=4, start=0.1))
    np.testing.assert_allclose(values(to_curve, 1.0, 12, up_to=13), values(to_peak, 1.0, 12, up_to=13), **TOLERANCE)


@pytest.mark.parametrize(("recorded", "is_prefix"), [("after_warmup", True), ("with_warmup", False)])
def test_cosine_with_cooldown_is_that_of_timm(recorded: str, is_prefix: bool):
    expected = np.load(Path(__file__).with_name("timm_schedule.npz"))[recorded]
    warmup = Warmup(steps=5, start=0.001, is_prefix=is_prefix)
    schedule = Schedule(curve=Cosine(final=0.01), warmup=warmup, cooldown=Cooldown(steps=6))
    np.testing.assert_allclose(values(schedule, 0.5, 30, up_to=30), expected, **TOLERANCE)


@pytest.mark.parametrize("curve", [*CURVES.values(), Polynomial(power=0.9)], ids=str)
@pytest.mark.parametrize("cooldown", [Cooldown(), Cooldown(steps=1, rate=0.1)], ids=str)
def test_rates_are_float32_and_agree_under_jit(curve: Curve, cooldown: Cooldown):
    rate = Schedule(curve=curve, warmup=Warmup(steps=2), cooldown=cooldown).learning_rate(0.3, 10)
    for step in range(10):
        compiled = jax.jit(rate)(jnp.int32(step))
        assert compiled.dtype == jnp.float32 and compiled.shape == () and not compiled.weak_type
        np.testing.assert_allclose(compiled, rate(step), **TOLERANCE)


CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("name", CURVES)
def test_warmup_may_be_a_share_of_the_run(name: str):
    by_share = Schedule(curve=CURVES[name], warmup=Warmup(share=0.26, start=0.1))
    by_steps = Schedule(curve=CURVES[name], warmup=Warmup(steps=3, start=0.1))
    np.testing.assert_array_equal(values(by_share, 1.0, 12, up_to=14), values(by_steps, 1.0, 12, up_to=14))


def test_warmup_that_is_too_long_is_named_with_both_keys():
    with pytest.raises(ConfigError) as caught:
        Schedule(warmup=Warmup(steps=2000), cooldown=Cooldown(steps=3)).learning_rate(1.0, 12)
    assert caught.value.message == (
        "optimizer.schedule.warmup.steps 2000 with cooldown.steps 3 leaves no step for the curve in a run of 12 steps"
    )
    assert "at most 11 in all" in caught.value.do
    assert "optimizer.schedule.warmup.share=0.05" in caught.value.do


RATES = Path(__file__).with_name("learning_rates.npz")
# Later configs are not recorded; the length of a run on a folder of one's own depends on the images.
RECORDED = sorted({name.rpartition("_")[0] for name in np.load(RATES).files} - {"folder"})


@pytest.mark.parametrize("name", RECORDED)
def test_configs_have_the_rates_that_they_had_before_schedules_were_composed(name: str):
    with np.load(RATES) as recorded:
        steps, expected = recorded[f"{name}_steps"], recorded[f"{name}_rates"]
    shown = experiment.load(str(CONFIGS / f"{name}.py"))
    rate = jax.vmap(learning_rate(shown.optimizer, shown.training.num_steps))
    # Cosines differ by a unit of the last place from processor to processor, which is more where 1 + cos is small.
    np.testing.assert_allclose(rate(steps), expected, rtol=2e-6, atol=1e-7 * shown.optimizer.learning_rate)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Warmup(steps=-1), "steps must be"),
        (lambda: Warmup(start=-1.0), "start must be"),
        (lambda: Warmup(share=1.0), "share must be"),
        (lambda: Warmup(share=0.1, steps=3), "share 0.1 and steps 3 are both given"),
        (lambda: Cooldown(steps=-1), "steps must be"),
        (lambda: Cooldown(rate=float("inf")), "rate must be"),
        (lambda: Cosine(final=float("nan")), "final must be"),
        (lambda: Polynomial(final=-1.0), "final must be"),
        (lambda: Schedule(warmup=Warmup(steps=5), total_steps=5), "total_steps 5 must exceed"),
        (lambda: Step(boundaries=(5, 5)), "rising"),
        (lambda: Step(boundaries=(0,)), "positive"),
        (lambda: Step(boundaries=(1,), factor=0.0), "factor must be"),
        (lambda: Step(shares=(0.5, 0.5)), "rising"),
        (lambda: Step(shares=(0.5, 1.0)), "between 0 and 1"),
        (lambda: Step(), r"boundaries \(\) or shares \(\) must be given"),
        (lambda: Step(boundaries=(1,), shares=(0.5,)), "and not both"),
        (lambda: Schedule(warmup=Warmup(steps=10)).learning_rate(1.0, 10), "leaves no step"),
        (
            lambda: Schedule(warmup=Warmup(steps=5), cooldown=Cooldown(steps=5)).learning_rate(1.0, 10),
            r"with cooldown\.steps 5 leaves no step",
        ),
        (lambda: Schedule(curve=Constant(), cooldown=Cooldown(steps=10)).learning_rate(1.0, 10), "leaves no step"),
        (lambda: Polynomial(power=0.0), "power must be"),
    ],
)
def test_nonsense_is_refused(make, message: str):
    with pytest.raises(ConfigError, match=message):
        make()
