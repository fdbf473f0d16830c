"""Saving: one at a time, announced when it is there, and no error lost."""

import errno
import logging
import os
import time
from pathlib import Path

import chex
import jax
import orbax.checkpoint as ocp
import pytest

from gauss_vit.errors import StorageError
from gauss_vit.tasks.evaluator import Best
from gauss_vit.train.checkpoint import retention
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


def test_checkpoint_that_is_evaluated_later_is_ranked(tmp_path: Path):
    with writer_in(tmp_path, num_newest=1, best=LOWEST_LOSS) as writer:
        writer.save(state_at(1), progress_at(1, **{"eval/loss": 0.2}))
        writer.save(state_at(2), progress_at(2))
        writer.wait()
        writer.rank(2, {"eval/loss": 0.1})
        assert (saved_steps(tmp_path), best_of(tmp_path)) == ([2], "2")


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


def test_orbax_that_fails_again_when_it_is_closed_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(manager: ocp.CheckpointManager) -> None:
        raise RuntimeError("cannot join thread before it is started")

    monkeypatch.setattr(ocp.CheckpointManager, "close", fail)
    with pytest.raises(StorageError, match="the first"), writer_in(tmp_path):
        raise StorageError("the first")
    with pytest.raises(RuntimeError, match="cannot join thread"), writer_in(tmp_path):
        pass


def test_vanished_folder_is_not_made_again_in_silence(tmp_path: Path):
    with pytest.raises(StorageError, match="vanished before the save of step 7"), writer_in(tmp_path) as writer:
        (tmp_path / CHECKPOINTS).rmdir()
        writer.save(state_at(7), progress_at(7))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every path that is on the disk by now, by the name that it had when it was synced."""
    paths, fsync = [], os.fsync

    def recording(descriptor: int) -> None:
        fsync(descriptor)
        paths.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", recording)
    return paths


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the names of open files are read from /proc")
def test_all_is_on_the_disk_before_it_is_announced_and_before_an_older_one_goes(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
):
    needed = {}
    with writer_in(tmp_path, num_newest=1) as writer:
        writer.save(state_at(1), progress_at(1))
        writer.wait()
        synced.clear()

        def check(message: str, step: int) -> None:
            new = tmp_path / CHECKPOINTS / str(step)
            needed[message] = {str(path) for path in (tmp_path, new.parent, new, *new.rglob("*"))} - set(synced)

        monkeypatch.setattr(logging.getLogger("gauss_vit.train.checkpoint.writer"), "info", check)
        remove = retention.remove
        monkeypatch.setattr(retention, "remove", lambda folder: (check("removed", 2), remove(folder)))
        writer.save(state_at(2), progress_at(2))
    assert needed == {"saved checkpoint %d": set(), "removed": set()}


def test_checkpoint_that_cannot_be_removed_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    remove = retention.remove

    def refuse_first(folder: Path) -> None:
        if folder.name in ("1", "9.orbax-checkpoint-tmp"):
            raise PermissionError(errno.EPERM, "Operation not permitted", str(folder))
        remove(folder)

    monkeypatch.setattr(retention, "remove", refuse_first)
    (tmp_path / CHECKPOINTS / "9.orbax-checkpoint-tmp").mkdir(parents=True)
    with writer_in(tmp_path, num_newest=1) as writer:
        for step in range(1, 5):
            writer.save(state_at(step), progress_at(step))
    assert saved_steps(tmp_path) == [1, 4]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2 and all("cannot be removed, the run goes on: Operation not" in text for text in warnings)


def test_best_link_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failing = Failing(OSError(errno.EIO, "Input/output error"))
    monkeypatch.setattr(Path, "symlink_to", failing)
    with (
        pytest.raises(StorageError, match=r"checkpoint 7 is saved, .*checkpoints not updated: .*Input/output"),
        writer_in(tmp_path, best=LOWEST_LOSS) as writer,
    ):
        writer.save(state_at(7), progress_at(7, **{"eval/loss": 0.1}))
    assert writer.newest_step == 7


def test_leftovers_of_an_earlier_process_are_cleaned(tmp_path: Path):
    save_steps(tmp_path, 5)
    (tmp_path / CHECKPOINTS / "6.orbax-checkpoint-tmp").mkdir()
    (tmp_path / CHECKPOINTS / ".removed-1" / "state").mkdir(parents=True)
    with writer_in(tmp_path) as writer:
        writer.save(state_at(6), progress_at(6))
    assert sorted(path.name for path in (tmp_path / CHECKPOINTS).iterdir()) == ["5", "6"]
