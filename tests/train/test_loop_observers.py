"""Observers see the run at their steps, and what they say is logged once, whatever happens on its way."""

import dataclasses
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from jaxtyping import PyTree

from gauss_vit.batches import Batch
from gauss_vit.errors import StorageError
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.train.loop import Run, fit
from gauss_vit.train.tracking.tracker import TrackedRun
from gauss_vit.train.workdir.metrics_log import entries
from tests.train.bits import trace_of
from tests.train.incidents import final_state, interrupted_at
from tests.train.states import data_files, flip_byte
from tests.train.toy import TRAINING, run_in, with_recipe
from tests.train.tracking.recorder import Recorder


@pytest.mark.parametrize(("every", "steps"), [(None, [12]), (5, [0, 5, 10, 12]), (6, [0, 6, 12])])
def test_observers_see_steps_and_parameters(tmp_path: Path, every: int | None, steps: list[int]):
    seen: list[tuple[int, PyTree]] = []
    run = run_in(tmp_path, dataclasses.replace(TRAINING, observe_every=every))

    def keep(step: int, params: PyTree) -> dict[str, float]:
        seen.append((step, jax.device_get(params)))
        return {}

    fit(dataclasses.replace(run, observers=(keep,)))
    assert [step for step, _ in seen] == steps
    chex.assert_trees_all_equal(seen[-1][1], final_state(run).params)
    assert "observe" not in {entry["split"] for entry in entries(tmp_path / "metrics.jsonl")}


def observed(workdir: Path) -> Run:
    """A run with two observers that have something to say, except one of them about the third step."""

    def norm(step: int, params: PyTree) -> dict[str, float]:
        return {"norm": float(np.linalg.norm(jax.device_get(params)["kernel"]))}

    def amplitude(step: int, params: PyTree) -> dict[str, float]:
        return {} if step == 3 else {"gaussian/amplitude": float(jax.device_get(params)["amplitude"][0])}

    run = run_in(workdir, dataclasses.replace(TRAINING, observe_every=3))
    return dataclasses.replace(run, observers=(norm, amplitude))


def test_what_observers_say_is_one_line_of_the_log(tmp_path: Path):
    fit(observed(tmp_path))
    lines = [entry for entry in entries(tmp_path / "metrics.jsonl") if entry["split"] == "observe"]
    assert [line["step"] for line in lines] == [0, 3, 6, 9, 12]
    assert [sorted(line) for line in lines[1:3]] == [
        ["norm", "split", "step"],
        ["gaussian/amplitude", "norm", "split", "step"],
    ]
    table = (tmp_path / "metrics.csv").read_text().splitlines()
    assert {"norm", "gaussian/amplitude"} <= set(table[0].split(","))


def test_observed_run_that_is_stopped_logs_the_same_lines(tmp_path: Path):
    fit(observed(tmp_path / "left_alone"))
    stopped = observed(tmp_path / "stopped")
    for step in (3, 5, 9):
        with pytest.raises(SystemExit):
            fit(interrupted_at(stopped, step))
    fit(stopped)
    assert trace_of(tmp_path / "stopped") == trace_of(tmp_path / "left_alone")


def test_observation_after_an_interrupted_evaluation_is_logged_once(tmp_path: Path):
    run = observed(tmp_path)

    def evaluation(name: str) -> Iterator[Batch]:
        for batch in run.feed.evaluation(name):
            os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    stopped = dataclasses.replace(run, feed=dataclasses.replace(run.feed, evaluation=evaluation))
    stopped = with_recipe(stopped, evaluators=(Evaluator(every=3),))
    with pytest.raises(SystemExit):
        fit(stopped)
    fit(with_recipe(run, evaluators=(Evaluator(every=3),)))
    lines = [(entry["step"], entry["split"]) for entry in entries(tmp_path / "metrics.jsonl")]
    assert [line for line in lines if line[0] == 3] == [(3, "eval"), (3, "observe")]


BEST = Best(metric="eval/num_examples", mode="max")
"""Of equal numbers, the earlier: step 4 is the best of evaluations at 4, 8 and 12."""


def with_best(workdir: Path, **changes: object) -> Run:
    training = dataclasses.replace(TRAINING, checkpoint_every=4, best=BEST, observe_every=None)
    run = dataclasses.replace(observed(workdir), recipe=run_in(workdir, training).recipe)
    return dataclasses.replace(run, **changes)


def test_the_best_checkpoint_is_observed_once_at_the_end(tmp_path: Path):
    seen: list[tuple[int, float]] = []
    run = with_best(tmp_path)

    def keep(step: int, params: PyTree) -> dict[str, float]:
        seen.append((step, float(jax.device_get(params)["amplitude"][0])))
        return {"amplitude": seen[-1][1]}

    fit(dataclasses.replace(run, observers=(keep,)))
    assert [step for step, _ in seen] == [12, 4]
    assert seen[0][1] != seen[1][1]
    lines = [entry for entry in entries(tmp_path / "metrics.jsonl") if entry["split"] == "observe"]
    assert [(line["step"], line["amplitude"]) for line in lines] == seen
    fit(dataclasses.replace(run, observers=(keep,)))
    assert len(seen) == 2


def test_a_best_step_that_was_observed_is_not_observed_again(tmp_path: Path):
    run = with_best(tmp_path)
    fit(with_recipe(run, training=dataclasses.replace(run.recipe.training, observe_every=4)))
    lines = [entry["step"] for entry in entries(tmp_path / "metrics.jsonl") if entry["split"] == "observe"]
    assert lines == [0, 4, 8, 12]


def fail_at_4(step: int, params: PyTree) -> dict[str, float]:
    """Fails to store what is observed of the best step."""
    if step == 4:
        raise StorageError("disk full")
    return {"norm": 1.0}


def test_a_run_that_ended_before_its_best_was_observed_does_it_when_run_again(tmp_path: Path):
    run = with_best(tmp_path)
    with pytest.raises(StorageError):
        fit(dataclasses.replace(run, observers=(fail_at_4,)))
    fit(run)
    lines = [entry["step"] for entry in entries(tmp_path / "metrics.jsonl") if entry["split"] == "observe"]
    assert lines == [12, 4]


def test_an_observer_that_says_nothing_of_the_best_is_asked_once(tmp_path: Path):
    seen: list[int] = []

    def silent(step: int, params: PyTree) -> dict[str, float]:
        seen.append(step)
        return {}

    run = dataclasses.replace(with_best(tmp_path), observers=(silent,))
    fit(run)
    fit(run)
    assert seen == [12, 4]


def test_a_silent_observer_is_not_asked_again_where_the_last_step_is_the_best(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    seen: list[int] = []

    def silent(step: int, params: PyTree) -> dict[str, float]:
        seen.append(step)
        return {}

    run = with_recipe(with_best(tmp_path, observers=(silent,)), evaluators=(Evaluator(),))
    fit(run)
    fit(run)
    assert seen == [12]
    assert caplog.messages[-1] == "already finished at step 12; nothing to do"


def test_a_damaged_best_checkpoint_is_set_aside_for_the_next(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    run = with_best(tmp_path)
    with pytest.raises(StorageError):
        fit(dataclasses.replace(run, observers=(fail_at_4,)))
    flip_byte(next(path for path in data_files(tmp_path, 4) if path.parent.parent.name == "state"))
    fit(run)
    assert any("the best checkpoint is damaged" in message for message in caplog.messages)
    assert (tmp_path / "corrupt" / "4").is_dir()
    assert str((tmp_path / "checkpoints" / "best").readlink()) == "8"
    lines = [entry["step"] for entry in entries(tmp_path / "metrics.jsonl") if entry["split"] == "observe"]
    assert lines == [12, 8]
    fit(run)
    assert caplog.messages[-1] == "already finished at step 12; nothing to do"


def test_pictures_of_observers_and_numbers_go_to_the_trackers(tmp_path: Path):
    opened: list[Recorder] = []

    def open_recorder(run: TrackedRun) -> Recorder:
        opened.append(Recorder(run))
        return opened[-1]

    run = dataclasses.replace(
        observed(tmp_path), pictures=lambda step: {"erf": tmp_path / f"{step}.png"}, trackers={"fake": open_recorder}
    )
    fit(run)
    (recorder,) = opened
    assert (recorder.run.step, recorder.run.config) == (0, run.recipe.to_json())
    assert recorder.pictures == [(step, "erf", tmp_path / f"{step}.png") for step in (0, 3, 6, 9, 12)]
    assert "observe/norm" in {name for _, numbers in recorder.numbers for name in numbers}
    assert recorder.is_closed
