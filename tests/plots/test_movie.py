"""A movie has one picture a step, on one scale, and nothing in it jumps."""

import io

import numpy as np
import pytest
from PIL import Image

from gauss_vit.analysis.token import Target
from gauss_vit.plots.movie import Observation, draw_frames, movie

TARGET = Target(token=(1, 2), grid=(2, 4))


def observation(step: int, *, has_erf: bool = True, has_tables: bool = True, strength: float = 1.0) -> Observation:
    values = np.zeros((16, 32))
    values[8:16, 16:24] = strength / 64
    tables = tuple(np.full((3, 7), layer * strength) for layer in (1.0, 2.0))
    return Observation(step=step, erf=values if has_erf else None, tables=tables if has_tables else None)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    steps = (observation(1), observation(1), observation(2, strength=0.25), observation(3, has_erf=False))
    return draw_frames(steps, TARGET, title="run")


def test_equal_observations_give_equal_pictures(frames: list[np.ndarray]):
    np.testing.assert_array_equal(frames[0], frames[1])


def test_weaker_fields_and_tables_are_darker_on_the_same_scale(frames: list[np.ndarray]):
    brightness = [frame.astype(int).sum() for frame in frames]
    assert brightness[2] < brightness[0]
    # The heading names the step, below it the axes stay where they are.
    changed = np.argwhere((frames[0] != frames[2]).any(axis=-1))
    assert len(changed) and changed[:, 1].max() < frames[0].shape[1] - 5


def test_step_without_a_field_is_blank_and_says_so(frames: list[np.ndarray]):
    left = frames[3][:, : frames[3].shape[1] // 2]
    assert (left == 255).all(axis=-1).mean() > (frames[0][:, : left.shape[1]] == 255).all(axis=-1).mean() + 0.1


def test_gif_has_every_step_and_lingers_on_the_last():
    steps = tuple(observation(step, strength=1 / step) for step in (1, 2, 3))
    found = Image.open(io.BytesIO(movie(steps, TARGET, title="run", frames_per_second=10.0)))
    durations = []
    for index in range(found.n_frames):
        found.seek(index)
        durations.append(found.info["duration"])
    assert durations == [100, 100, 2000]
    assert found.info["loop"] == 0


@pytest.mark.parametrize(("has_erf", "has_tables"), [(True, False), (False, True)])
def test_one_kind_of_observation_is_enough(has_erf: bool, has_tables: bool):
    steps = (observation(5, has_erf=has_erf, has_tables=has_tables),)
    (frame,) = draw_frames(steps, TARGET if has_erf else None, title="run")
    assert frame.shape[1] < 600
