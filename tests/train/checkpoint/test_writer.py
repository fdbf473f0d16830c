"""Saving: one at a time, announced when it is there, and no error lost."""

import errno
import logging
import time
from pathlib import Path

import chex
import jax
import orbax.checkpoint as ocp
import pytest

from gauss_vit.errors import StorageError
from gauss_vit.tasks.evaluator import Best
from gauss_vit.train.checkpoint.reader import CHECKPOINTS, restore_state, saved_steps
from tests.train.states import flip_byte, progress_at, save_steps, state_at, target, writer_in

LOWEST_LOSS = Best(metric="eval/loss", mode="min")


def best_of(workdir: Path) -> str:
    return str((workdir / CHECKPOINTS / "best").readlink())


def test_newest_stay_and_older_ones_go(tmp_path: Path):
    with writer_in(tmp_path, num_newest=2) as writer:
        for step in range(1, 6):
            writer.save(state_at(step), progress_at(step))
            assert len(saved_steps(tmp_path)) <= 3
    assert saved_steps(tmp_path) == [4, 5]


def test_nan_metric_never_costs_the_best_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with writer_in(tmp_path, num_newest=1, best=Best(metric="eval/top1", mode="max")) as writer:
        for step, metrics in enumerate([{"eval/top1": 0.5}, {"eval/top1": 0.9}, {}, {"eval/top1": 0.1}], start=1):
            writer.save(state_at(step), progress_at(step, **metrics))
    assert saved_steps(tmp_path) == [2, 4]
    assert best_of(tmp_path) == "2"


def test_best_is_known_after_a_restart(tmp_path: Path):
    with writer_in(tmp_path, num_newest=1, best=LOWEST_LOSS) as writer:
        writer.save(state_at(1), progress_at(1, **{"eval/loss": 0.1}))
        writer.save(state_at(2), progress_at(2, **{"eval/loss": 0.3}))
    with writer_in(tmp_path, num_newest=1, best=LOWEST_LOSS) as writer:
        writer.save(state_at(3), progress_at(3, **{"eval/loss": 0.2}))
    assert (saved_steps(tmp_path), best_of(tmp_path)) == ([1, 3], "1")


def test_damaged_checkpoint_does_not_compete(tmp_path: Path):
    with writer_in(tmp_path, best=LOWEST_LOSS) as writer:
        writer.save(state_at(1), progress_at(1, **{"eval/loss": 0.1}))
    flip_byte(tmp_path / CHECKPOINTS / "1" / "meta" / "metadata")
    with writer_in(tmp_path, best=LOWEST_LOSS) as writer:
        writer.save(state_at(2), progress_at(2, **{"eval/loss": 0.3}))
    assert best_of(tmp_path) == "2"


def test_arrays_may_be_overwritten_as_soon_as_save_returns(tmp_path: Path):
    """A donated buffer is reused at once; the checkpoint must hold what was there before."""
    overwrite = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
    state = state_at(7)
    with writer_in(tmp_path) as writer:
        writer.save(state, progress_at(7))
        for _ in range(20):
            state = overwrite(state)
        jax.block_until_ready(state)
    chex.assert_trees_all_equal(restore_state(tmp_path, target()).arrays, state_at(7))


def test_save_is_announced_only_when_it_is_on_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    with writer_in(tmp_path) as writer:
        writer.save(state_at(7), progress_at(7))
        assert writer.covers(7) and writer.newest_step is None
        while writer.newest_step is None:
            assert "saved checkpoint 7" not in caplog.messages
            time.sleep(0.01)
            writer.poll()
        assert "saved checkpoint 7" in caplog.messages and saved_steps(tmp_path) == [7]


@pytest.mark.parametrize("step", [10, 5])
def test_save_that_orbax_refuses_is_an_error(tmp_path: Path, step: int):
    save_steps(tmp_path, 10)
    with pytest.raises(StorageError, match="refused"), writer_in(tmp_path) as writer:
        writer.save(state_at(step), progress_at(step))


class Failing:
    """Stands for a disk that fails in the background thread."""

    def __init__(self, error: Exception):
        self.error = error

    def __call__(self, *arguments: object, **named: object) -> None:
        raise self.error


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the commit of every checkpoint fail, after its arrays were handed over."""
    failing = Failing(OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(ocp.CheckpointManager, "_finalize_checkpoint", failing)


def test_failed_save_surfaces_at_a_later_step(tmp_path: Path, full_disk: None):
    with (
        pytest.raises(StorageError, match=r"saving checkpoint 7 failed.*No space left") as caught,
        writer_in(tmp_path) as writer,
    ):
        writer.save(state_at(7), progress_at(7))
        for _ in range(500):
            writer.poll()
            time.sleep(0.01)
    assert caught.value.code == "STORAGE-FULL"


def test_failure_of_the_last_save_surfaces_at_the_end(tmp_path: Path, full_disk: None):
    with (
        pytest.raises(StorageError, match=r"saving checkpoint 7 failed.*none is on disk yet"),
        writer_in(tmp_path) as writer,
    ):
        writer.save(state_at(7), progress_at(7))


def test_another_error_is_not_hidden_by_a_failed_save(
    tmp_path: Path, full_disk: None, caplog: pytest.LogCaptureFixture
):
    with pytest.raises(KeyError), writer_in(tmp_path) as writer:
        writer.save(state_at(7), progress_at(7))
        raise KeyError
    assert "saving checkpoint 7 failed" in caplog.text


def test_vanished_folder_is_not_made_again_in_silence(tmp_path: Path):
    with pytest.raises(StorageError, match="vanished before the save of step 7"), writer_in(tmp_path) as writer:
        (tmp_path / CHECKPOINTS).rmdir()
        writer.save(state_at(7), progress_at(7))


def test_leftovers_of_an_earlier_process_are_cleaned(tmp_path: Path):
    save_steps(tmp_path, 5)
    (tmp_path / CHECKPOINTS / "6.orbax-checkpoint-tmp").mkdir()
    (tmp_path / CHECKPOINTS / ".removed-1" / "state").mkdir(parents=True)
    with writer_in(tmp_path) as writer:
        writer.save(state_at(6), progress_at(6))
    assert sorted(path.name for path in (tmp_path / CHECKPOINTS).iterdir()) == ["5", "6"]
