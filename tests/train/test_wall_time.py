"""Every second is in one phase, and the speed is that of the steps alone."""

import threading

import jax
import jax.numpy as jnp
import pytest

from gauss_vit.train.wall_time import PHASES, Pace, WallTime, breakdown, goodput
from tests.train.clock import Clock


def pace_of(num_steps: int, *, seconds: float) -> tuple[Pace, WallTime, Clock]:
    clock = Clock()
    wall = WallTime(clock)
    pace = Pace(wall)
    clock.now += 50.0
    pace.count()
    for _ in range(num_steps):
        with wall.within("step"):
            clock.now += seconds
        pace.count()
    return pace, wall, clock


def test_first_step_which_compiles_does_not_count():
    pace, _, _ = pace_of(10, seconds=0.5)
    assert pace.steps_per_second == pytest.approx(2.0)


@pytest.mark.parametrize("phase", ["evaluation", "observation", "save", "compile", "start"])
def test_other_phases_do_not_slow_the_pace(phase: str):
    pace, wall, clock = pace_of(10, seconds=0.5)
    with wall.within(phase):
        clock.now += 1000.0
    assert pace.steps_per_second == pytest.approx(2.0)


def test_input_slows_the_pace_and_has_a_share():
    pace, wall, clock = pace_of(10, seconds=0.5)
    with wall.within("input"):
        clock.now += 15.0
    assert (pace.steps_per_second, pace.input_wait) == (pytest.approx(0.5), pytest.approx(0.75))


def test_restart_begins_a_new_interval():
    pace, wall, clock = pace_of(10, seconds=0.5)
    pace.restart()
    assert (pace.steps_per_second, pace.input_wait) == (0.0, 0.0)
    with wall.within("step"):
        clock.now += 0.1
    pace.count()
    assert pace.steps_per_second == pytest.approx(10.0)


def test_phases_within_phases_add_up_to_the_time():
    clock = Clock()
    wall = WallTime(clock)
    clock.now += 3.0
    with wall.within("step"):
        clock.now += 5.0
        with wall.within("save"):
            clock.now += 7.0
        with pytest.raises(KeyError), wall.within("evaluation"):
            clock.now += 11.0
            raise KeyError
    clock.now += 2.0
    expected = {"start": 5.0, "step": 5.0, "save": 7.0, "evaluation": 11.0}
    assert wall.seconds() == dict.fromkeys(PHASES, 0.0) | expected


def test_seconds_of_earlier_processes_are_added():
    wall = WallTime(Clock())
    wall.add({"step": 9.0, "stopped": 4.0})
    assert wall.seconds() == dict.fromkeys(PHASES, 0.0) | {"step": 9.0, "stopped": 4.0}


def test_parts_of_a_compilation_are_counted_once():
    clock = Clock()
    wall = WallTime(clock)

    def report(event: str, seconds: float) -> None:
        for listener in [wall._take_compilation]:
            listener(event, seconds, fun_name="f")

    with wall.within("step"):
        clock.now += 1.0
        for _ in range(2):
            clock.now += 2.0
            report("/jax/core/compile/jaxpr_trace_duration", 2.0)
        report("/jax/core/compile/jaxpr_trace_duration", 4.5)
        clock.now += 3.0
        report("/jax/core/compile/backend_compile_duration", 3.0)
        report("/jax/checkpoint/write/async/blocking_duration_secs", 3.0)
    assert (wall.seconds()["compile"], wall.seconds()["step"]) == (pytest.approx(7.5), pytest.approx(0.5))


@pytest.mark.parametrize("seconds", [-7200.0, 7200.0])
def test_a_clock_that_is_set_while_compiling_makes_no_hours(seconds: float):
    clock = Clock()
    wall = WallTime(clock)
    clock.now += 1.0
    with wall.within("step"):
        clock.now += 3.0
        wall._take_compilation("/jax/core/compile/backend_compile_duration", seconds)
    assert all(0.0 <= value <= 3.0 for value in wall.seconds().values())


def test_compilations_of_jax_are_heard_within_the_block_and_of_this_thread():
    def compile_sum(size: int) -> None:
        jax.jit(lambda x: jnp.sin(x).sum() + size)(jnp.zeros(size, jnp.float32))

    with WallTime() as wall:
        thread = threading.Thread(target=compile_sum, args=(31,))
        thread.start()
        thread.join()
        assert wall.seconds()["compile"] == 0.0
        compile_sum(32)
        compiled = wall.seconds()["compile"]
    assert 0.0 < compiled < sum(wall.seconds().values())
    compile_sum(33)
    assert wall.seconds()["compile"] == compiled


def test_goodput_is_the_share_of_steps():
    assert goodput({"step": 3.0, "input": 1.0}) == 0.75
    assert goodput({"step": 0.0}) == 0.0


def test_breakdown_of_nothing_is_empty():
    assert breakdown({"step": 0.0}) == ""
