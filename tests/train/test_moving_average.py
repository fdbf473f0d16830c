"""The moving average against its closed form, and through checkpoints, evaluation and resumes."""

import dataclasses
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.tasks.evaluator import Best
from gauss_vit.train import moving_average
from gauss_vit.train.checkpoint.reader import restore_params, restore_state
from gauss_vit.train.loop import Run, fit
from gauss_vit.train.state import TrainState, run_key
from gauss_vit.train.workdir.metrics_log import entries
from tests.train.bits import trace_of
from tests.train.toy import TRAINING, ToyRecipe, run_in

AVERAGED = dataclasses.replace(TRAINING, ema_decay=0.9)


def test_average_is_the_weighted_sum_of_what_was():
    params = [np.float32([step, -step * step]) for step in range(6)]
    actual = {"kernel": jnp.asarray(params[0])}
    for new in params[1:]:
        actual = moving_average.follow(actual, {"kernel": jnp.asarray(new)}, 0.75)
    weights = [0.75**5] + [0.25 * 0.75 ** (5 - step) for step in range(1, 6)]
    expected = sum(weight * leaf.astype(np.float64) for weight, leaf in zip(weights, params, strict=True))
    np.testing.assert_allclose(actual["kernel"], expected, rtol=1e-6)


def test_average_of_constant_parameters_keeps_their_bits():
    params = {"kernel": jnp.asarray(np.random.default_rng(0).normal(size=100), jnp.float32)}
    actual = params
    for _ in range(50):
        actual = moving_average.follow(actual, params, 0.99996)
    np.testing.assert_array_equal(actual["kernel"], params["kernel"])


def test_run_without_decay_has_no_average():
    state = TrainState(step=jnp.int32(0), params={"kernel": jnp.ones(3)}, opt_state=())
    assert moving_average.begin(state, None) is state
    np.testing.assert_array_equal(moving_average.begin(state, 0.9).ema["kernel"], jnp.ones(3))


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with an average."""
    workdir = tmp_path_factory.mktemp("averaged")
    fit(run_in(workdir, AVERAGED))
    return workdir


def test_average_follows_the_run_and_does_not_change_it(averaged: Path, tmp_path: Path):
    fit(run_in(tmp_path, dataclasses.replace(TRAINING, checkpoint_every=1, keep_checkpoints=12)))
    kernels = [start_kernel(run_in(tmp_path))]
    for step in range(1, 13):
        kernels.append(kernel_at(tmp_path, step))
    expected = kernels[0]
    for kernel in kernels[1:]:
        expected = 0.9 * expected + 0.1 * kernel
    state = final_state(run_in(averaged, AVERAGED))
    np.testing.assert_array_equal(state.params["kernel"], kernels[-1].astype(np.float32))
    np.testing.assert_allclose(state.ema["kernel"], expected, rtol=1e-5, atol=1e-6)


def start_kernel(run: Run) -> np.ndarray:
    return np.asarray(run.recipe.network.make(run_key(run.recipe.seed)).kernel[...]).astype(np.float64)


def kernel_at(workdir: Path, step: int) -> np.ndarray:
    restored = restore_params(workdir, run_in(workdir).program.abstract.params, step=step)
    return np.asarray(restored.arrays["kernel"]).astype(np.float64)


def final_state(run: Run) -> TrainState:
    return jax.device_get(restore_state(run.workdir, run.program.abstract).arrays)


def test_average_is_evaluated_under_its_own_names(averaged: Path):
    lines = [entry for entry in entries(averaged / "metrics.jsonl") if entry["split"] == "eval"]
    for line in lines:
        assert line["ema_num_examples"] == line["num_examples"] == 37
        assert line["ema_loss"] != line["loss"]


def test_average_is_restored_instead_of_the_parameters(averaged: Path):
    abstract = run_in(averaged, AVERAGED).program.abstract
    state = final_state(run_in(averaged, AVERAGED))
    for which, wanted in (("params", state.params), ("ema", state.ema)):
        restored = restore_params(averaged, abstract.params, which=which)
        chex.assert_trees_all_equal(jax.device_get(restored.arrays), wanted)


def test_average_that_was_not_kept_is_an_error(tmp_path: Path):
    fit(run_in(tmp_path))
    with pytest.raises(CheckpointError, match=r"missing ema\.amplitude"):
        restore_params(tmp_path, run_in(tmp_path).program.abstract.params, which="ema")


@pytest.mark.parametrize("step", [3, 5])
def test_interrupted_run_with_an_average_ends_with_the_same_bits(averaged: Path, tmp_path: Path, step: int):
    run = run_in(tmp_path, AVERAGED)

    def train(start: int):
        for index, batch in enumerate(run.feed.train(start), start):
            if index == step and start == 0:
                raise OSError("gone")
            yield batch

    with pytest.raises(OSError, match="gone"):
        fit(dataclasses.replace(run, feed=dataclasses.replace(run.feed, train=train)))
    fit(run)
    assert trace_of(tmp_path) == trace_of(averaged)


def test_best_of_the_average_is_kept(tmp_path: Path):
    training = dataclasses.replace(
        AVERAGED, best=Best(metric="eval/ema_loss", mode="min"), checkpoint_every=4, keep_checkpoints=1
    )
    fit(run_in(tmp_path, training))
    losses = {line["step"]: line["ema_loss"] for line in entries(tmp_path / "metrics.jsonl") if line["split"] == "eval"}
    assert (tmp_path / "checkpoints" / "best").readlink() == Path(str(min(losses, key=losses.get)))


def test_workdir_of_an_earlier_version_resumes(tmp_path: Path):
    fit(run_in(tmp_path))
    (tmp_path / "config.json").write_text('{"training": {}, "seed": 3}')
    longer = dataclasses.replace(TRAINING, num_steps=13)

    class NewerRecipe(ToyRecipe):
        def with_defaults(self, recorded: dict) -> dict:
            return {**ToyRecipe().to_json(), **{key: recorded[key] for key in recorded if key != "training"}}

    fit(dataclasses.replace(run_in(tmp_path, longer), recipe=NewerRecipe(training=longer)))
    assert max(int(path.name) for path in (tmp_path / "checkpoints").iterdir() if path.name.isdecimal()) == 13
