"""A run ends with the same bits whatever happened on its way, and says what happened."""

import dataclasses
import json
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

from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.errors import CheckpointError, ConfigError, DivergedError
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.train.checkpoint.reader import saved_steps
from gauss_vit.train.loop import Run, fit
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import SGD, AdamW, Optimizer
from gauss_vit.train.program import make_program
from gauss_vit.train.state import run_key
from gauss_vit.train.workdir.metrics_log import entries
from tests import compilations
from tests.train.bits import trace_of
from tests.train.incidents import final_state, interrupted_at, with_batches, with_training
from tests.train.states import data_files, flip_byte
from tests.train.toy import NUM_EVAL, TRAINING, ToyRecipe, batch_of, run_in

pytestmark = [pytest.mark.optimized, pytest.mark.usefixtures("settled_heap")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a run that nothing happened to."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    fit(run_in(workdir))
    return workdir


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Collects what a run says."""
    caplog.set_level(logging.INFO)
    return caplog


def test_run_leaves_what_it_promises(undisturbed: Path):
    names = {path.name.split(".tfevents")[0] for path in undisturbed.iterdir() if not path.name.startswith(".")}
    assert names == {
        "config.json",
        "env.json",
        "metrics.jsonl",
        "metrics.csv",
        "timing.jsonl",
        "train.log",
        "checkpoints",
        "events.out",
    }
    assert saved_steps(undisturbed) == [9, 12]
    assert json.loads((undisturbed / "config.json").read_text()) == ToyRecipe().to_json()


def test_lines_come_at_their_steps_and_at_the_end(undisturbed: Path):
    lines = [(entry["split"], entry["step"]) for entry in entries(undisturbed / "metrics.jsonl")]
    assert lines == [("eval", 4), ("train", 5), ("eval", 8), ("train", 10), ("train", 12), ("eval", 12)]


def test_evaluation_counts_are_exact(undisturbed: Path):
    counts = [entry["num_examples"] for entry in entries(undisturbed / "metrics.jsonl") if entry["split"] == "eval"]
    assert counts == [NUM_EVAL] * 3


def test_same_run_has_the_same_bits(undisturbed: Path, tmp_path: Path):
    fit(run_in(tmp_path))
    assert trace_of(tmp_path) == trace_of(undisturbed)


# Step 3 saves, 4 evaluates, 7 does neither.
@pytest.mark.parametrize("step", [3, 4, 7, *(pytest.param(step, marks=pytest.mark.full) for step in (1, 5, 10))])
def test_interrupted_run_ends_with_the_same_bits(
    undisturbed: Path, tmp_path: Path, step: int, logs: pytest.LogCaptureFixture
):
    run = run_in(tmp_path)
    with pytest.raises(SystemExit) as caught:
        fit(interrupted_at(run, step))
    assert caught.value.code == 143
    assert max(saved_steps(tmp_path)) == step
    assert f"SIGTERM: saved step {step}, exiting 143" in logs.messages
    fit(run)
    assert f"resumed from step {step} (verified)" in logs.messages
    assert trace_of(tmp_path) == trace_of(undisturbed)
    chex.assert_trees_all_equal(final_state(run), final_state(run_in(undisturbed)))


def test_many_interruptions_end_with_the_same_bits(undisturbed: Path, tmp_path: Path):
    run = run_in(tmp_path)
    for step in (2, 5, 6, 9):
        with pytest.raises(SystemExit):
            fit(interrupted_at(run, step, signal.SIGINT))
    fit(run)
    assert trace_of(tmp_path) == trace_of(undisturbed)


def test_signal_before_the_first_update_saves_nothing(tmp_path: Path):
    with pytest.raises(SystemExit):
        fit(interrupted_at(run_in(tmp_path), 0))
    assert saved_steps(tmp_path) == []


def interrupted_in_evaluation(run: Run, which: int) -> Run:
    """Sends SIGTERM to the process during an evaluation, counted from 1."""
    calls = []

    def evaluation(name: str) -> Iterator[Batch]:
        calls.append(name)
        for index, batch in enumerate(run.feed.evaluation(name)):
            if len(calls) == which and index == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    return dataclasses.replace(run, feed=dataclasses.replace(run.feed, evaluation=evaluation))


@pytest.mark.parametrize("which", [2, *(pytest.param(which, marks=pytest.mark.full) for which in (1, 3))])
def test_interrupted_evaluation_is_done_again_and_counted_once(undisturbed: Path, tmp_path: Path, which: int):
    run = run_in(tmp_path)
    with pytest.raises(SystemExit):
        fit(interrupted_in_evaluation(run, which))
    assert max(saved_steps(tmp_path)) == 4 * which
    fit(run)
    fit(run)
    assert (tmp_path / "metrics.jsonl").read_text() == (undisturbed / "metrics.jsonl").read_text()


def test_checkpoint_whose_evaluation_was_interrupted_may_be_the_best(tmp_path: Path):
    # Of equal numbers the earlier is the best.
    best = Best(metric="eval/num_examples", mode="max")
    run = run_in(tmp_path, dataclasses.replace(TRAINING, checkpoint_every=4, keep_checkpoints=1, best=best))
    with pytest.raises(SystemExit):
        fit(interrupted_in_evaluation(run, 1))
    with pytest.raises(SystemExit):
        fit(interrupted_at(run, 6))
    fit(run)
    assert (saved_steps(tmp_path), str((tmp_path / "checkpoints" / "best").readlink())) == ([4, 12], "4")


def test_crash_between_checkpoints_ends_with_the_same_bits(undisturbed: Path, tmp_path: Path):
    def crash(step: int, batch: Batch) -> Batch:
        if step == 11:
            raise OSError("the disk of the data set is gone")
        return batch

    with pytest.raises(OSError, match="data set"):
        fit(with_batches(run_in(tmp_path), crash))
    fit(run_in(tmp_path))
    assert trace_of(tmp_path) == trace_of(undisturbed)


def test_finished_run_is_left_alone(tmp_path: Path, logs: pytest.LogCaptureFixture):
    fit(run_in(tmp_path))
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path, *tmp_path.rglob("*")))
    fit(run_in(tmp_path))
    assert logs.messages[-1] == "already finished at step 12; nothing to do"
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path, *tmp_path.rglob("*"))) == before


def test_more_steps_go_on_where_the_run_ended(tmp_path: Path, logs: pytest.LogCaptureFixture):
    fit(run_in(tmp_path / "long", dataclasses.replace(TRAINING, num_steps=15)))
    fit(run_in(tmp_path / "short"))
    fit(with_training(run_in(tmp_path / "short"), num_steps=15))
    assert "config: training.num_steps: 12 -> 15" in logs.messages
    assert not any("num_skipped" in entry for entry in entries(tmp_path / "short" / "metrics.jsonl"))
    long, short = (trace_of(tmp_path / name)[2].leaves for name in ("long", "short"))
    assert long == short


@pytest.mark.parametrize("change", [{"batch_size": 16}, {"num_steps": 11}])
def test_other_training_is_refused_and_nothing_is_overwritten(tmp_path: Path, change: dict[str, int]):
    fit(run_in(tmp_path))
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="training") as caught:
        fit(with_training(run_in(tmp_path), **change))
    assert caught.value.code == "RESUME-CONFIG"
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_damaged_checkpoint_is_set_aside_and_trained_again(
    undisturbed: Path, tmp_path: Path, logs: pytest.LogCaptureFixture
):
    fit(run_in(tmp_path))
    # Not the largest file of all: a byte of a description that nothing reads does no harm.
    flip_byte(next(path for path in data_files(tmp_path, 12) if path.parent.parent.name == "state"))
    fit(run_in(tmp_path))
    assert any("checkpoint 12 is damaged" in message for message in logs.messages)
    assert "resumed from step 9 (verified)" in logs.messages
    assert (tmp_path / "corrupt" / "12").is_dir()
    assert trace_of(tmp_path) == trace_of(undisturbed)


def test_run_never_starts_from_scratch_over_damaged_checkpoints(tmp_path: Path):
    fit(run_in(tmp_path))
    for step in saved_steps(tmp_path):
        flip_byte(tmp_path / "checkpoints" / str(step) / "meta" / "metadata")
    with pytest.raises(CheckpointError) as caught:
        fit(run_in(tmp_path))
    assert caught.value.code == "CKPT-NONE-VALID"


@pytest.mark.parametrize("mesh", [MeshConfig(data=8), MeshConfig(data=2, fsdp=4, whole_below=0)])
def test_run_on_eight_devices_has_the_same_losses(undisturbed: Path, tmp_path: Path, mesh: MeshConfig):
    fit(run_in(tmp_path, mesh=mesh))
    together, alone = (list(entries(workdir / "metrics.jsonl")) for workdir in (tmp_path, undisturbed))
    for one, other in zip(together, alone, strict=True):
        assert one["num_examples"] == other["num_examples"]
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5, abs=1e-5)


def test_run_goes_on_with_other_devices(undisturbed: Path, tmp_path: Path, logs: pytest.LogCaptureFixture):
    with pytest.raises(SystemExit):
        fit(interrupted_at(run_in(tmp_path, mesh=MeshConfig(data=2, fsdp=4, whole_below=0)), 6))
    fit(run_in(tmp_path))
    assert "restored from 8 devices (data 2, fsdp 4) onto 1 device" in logs.messages
    for one, other in zip(entries(tmp_path / "metrics.jsonl"), entries(undisturbed / "metrics.jsonl"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5, abs=1e-5)


def test_divergence_is_found_at_its_step_and_never_saved(tmp_path: Path):
    # One finite update, so large that the next loss is not.
    optimizer = Optimizer(rule=SGD(momentum=0.9), learning_rate=1e37, weight_decay=0.0)
    with pytest.raises(DivergedError, match=r"step 2, .*batch digest digest-1; .*; last good checkpoint: 1"):
        fit(run_in(tmp_path, dataclasses.replace(TRAINING, checkpoint_every=1), optimizer=optimizer))
    assert saved_steps(tmp_path) == [1]


class Poison:
    """Lets the loss be NaN from one step on, as a model that overflows would."""

    def __init__(self, step: int):
        self.step = step

    def __call__(self, step: int, batch: Batch) -> Batch:
        if step < self.step:
            return batch
        return dataclasses.replace(batch, targets=ClassTargets(label=np.full_like(batch.targets.label, 10**6)))


@pytest.mark.parametrize("step", [7, 9, *(pytest.param(step, marks=pytest.mark.full) for step in (6, 12))])
def test_nan_is_found_on_every_kind_of_step(tmp_path: Path, step: int):
    run = with_batches(run_in(tmp_path), Poison(step - 1))
    with pytest.raises(DivergedError, match=f"loss is nan at step {step}, .*digest-{step - 1}.*0.loss"):
        fit(run)
    assert all(saved < step for saved in saved_steps(tmp_path))


def test_metric_that_is_nan_costs_no_checkpoint(tmp_path: Path, logs: pytest.LogCaptureFixture):
    training = dataclasses.replace(TRAINING, best=Best(metric="eval/loss", mode="min"), keep_checkpoints=1)
    run = run_in(tmp_path, training, evaluators=(Evaluator(every=3),))
    calls = []

    def evaluation(name: str) -> Iterator[Batch]:
        calls.append(name)
        poison = Poison(0 if len(calls) in (3, 4) else 1)
        yield from (poison(0, batch) for batch in run.feed.evaluation(name))

    fit(dataclasses.replace(run, feed=dataclasses.replace(run.feed, evaluation=evaluation)))
    assert "eval/loss is nan at step 9: not ranked" in logs.messages
    losses = {entry["step"]: entry["loss"] for entry in entries(tmp_path / "metrics.jsonl") if entry["split"] == "eval"}
    best = min((3, 6), key=lambda step: losses[step])
    assert losses[9] is None and losses[12] is None
    assert (saved_steps(tmp_path), str((tmp_path / "checkpoints" / "best").readlink())) == ([best, 12], str(best))


def test_unknown_best_metric_is_refused(tmp_path: Path):
    best = Best(metric="eval/top2", mode="max")
    with pytest.raises(ConfigError, match=r"training\.best\.metric eval/top2 is not measured") as caught:
        fit(run_in(tmp_path, dataclasses.replace(TRAINING, best=best)))
    assert "eval/top1" in caught.value.do
    assert saved_steps(tmp_path) == [3, 4], "the step of the evaluation is saved"
    fit(run_in(tmp_path, dataclasses.replace(TRAINING, best=Best(metric="eval/num_examples", mode="max"))))
    assert saved_steps(tmp_path) == [4, 9, 12], "the evaluation before it was refused counts"


@pytest.mark.parametrize(
    ("log_every", "eval_every", "lines"),
    [
        (6, 4, [("eval", 4), ("train", 6), ("eval", 8), ("train", 12), ("eval", 12)]),
        pytest.param(
            *(5, 6, [("train", 5), ("eval", 6), ("train", 10), ("train", 12), ("eval", 12)]), marks=pytest.mark.full
        ),
        (5, None, [("train", 5), ("train", 10), ("train", 12), ("eval", 12)]),
    ],
)
def test_intervals_are_those_of_the_config(
    tmp_path: Path, log_every: int, eval_every: int | None, lines: list[tuple[str, int]]
):
    training = dataclasses.replace(TRAINING, log_every=log_every)
    fit(run_in(tmp_path, training, evaluators=(Evaluator(every=eval_every),)))
    assert [(entry["split"], entry["step"]) for entry in entries(tmp_path / "metrics.jsonl")] == lines


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"checkpoint_every": 5}, [10, 12]),
        ({"keep_checkpoints": 3}, [6, 9, 12]),
        ({"keep_every": 6, "keep_checkpoints": 1}, [6, 12]),
    ],
)
def test_checkpoints_are_those_of_the_config(tmp_path: Path, changes: dict[str, int], steps: list[int]):
    fit(run_in(tmp_path, dataclasses.replace(TRAINING, **changes)))
    assert saved_steps(tmp_path) == steps


def test_evaluation_does_not_depend_on_its_batch_size(undisturbed: Path, tmp_path: Path):
    training = dataclasses.replace(TRAINING, eval_batch_size=5)
    fit(run_in(tmp_path, training))
    for one, other in zip(entries(tmp_path / "metrics.jsonl"), entries(undisturbed / "metrics.jsonl"), strict=True):
        assert (one["top1"], one["num_examples"]) == (other["top1"], other["num_examples"])


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"optimizer": Optimizer(rule=AdamW(), learning_rate=0.02, weight_decay=0.05)}]
)
def test_seed_and_optimizer_change_the_result(undisturbed: Path, tmp_path: Path, change: dict):
    fit(run_in(tmp_path, **change))
    assert trace_of(tmp_path)[2].leaves["params.kernel"] != trace_of(undisturbed)[2].leaves["params.kernel"]


def test_program_compiles_each_function_once(tmp_path: Path):
    run = run_in(tmp_path, mesh=MeshConfig(data=2, fsdp=4, whole_below=0))
    with compilations.counted() as compiled:
        fit(dataclasses.replace(run, program=make_program(run.recipe)))
    assert (compiled["train_step"], compiled["eval_step"]) == (1, 1)


def test_start_is_checked_once_with_the_first_parameters_and_the_first_batch(undisturbed: Path, tmp_path: Path):
    seen, run = [], run_in(tmp_path)
    feed = dataclasses.replace(run.feed, train=lambda start: seen.append(start) or run.feed.train(start))

    def check_start(params: PyTree, batch: Batch) -> None:
        assert not (tmp_path / "config.json").exists()
        seen.append((jax.device_get(params)["kernel"], batch))

    checked = dataclasses.replace(run, feed=feed, check_start=check_start)
    stopped = dataclasses.replace(interrupted_at(run, 5), check_start=check_start)
    with pytest.raises(SystemExit):
        fit(stopped)
    fit(checked)
    assert seen[1:] == [5]
    kernel, batch = seen[0]
    # Drawn one operation at a time here, and in one compiled function by the run.
    np.testing.assert_allclose(kernel, run.recipe.network.make(run_key(3)).kernel[...], rtol=1e-6)
    np.testing.assert_array_equal(batch.image, batch_of(0, 8).image)
    assert trace_of(tmp_path) == trace_of(undisturbed)
