"""Restoring: bit for bit, on any mesh, and never from a damaged checkpoint."""

import dataclasses
import errno
import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.train.checkpoint import metadata as records
from gauss_vit.train.checkpoint import reader
from gauss_vit.train.checkpoint.metadata import DamagedError
from gauss_vit.train.checkpoint.reader import (
    CHECKPOINTS,
    CORRUPT,
    META,
    STATE,
    best_step,
    check_format,
    read_record,
    restore_params,
    restore_state,
    saved_steps,
    set_aside,
    unfinished_steps,
)
from gauss_vit.train.state import TrainState
from tests.train.states import data_files, flip_byte, progress_at, save_steps, state_at, target, writer_in

pytestmark = pytest.mark.usefixtures("settled_heap")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workdir with two checkpoints, not to be changed."""
    workdir = tmp_path_factory.mktemp("saved")
    save_steps(workdir, 5, 10)
    return workdir


@pytest.fixture
def workdir(saved: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "run"))


@pytest.mark.parametrize(("data", "fsdp"), [(1, 1), (8, 1), (2, 4)])
def test_newest_is_restored_bit_for_bit_into_the_shardings_asked_for(saved: Path, data: int, fsdp: int):
    wanted = target(data=data, fsdp=fsdp)
    restored = restore_state(saved, wanted)
    assert (restored.step, restored.damaged) == (10, ())
    chex.assert_trees_all_equal(restored.arrays, state_at(10))
    assert all(
        leaf.sharding == abstract.sharding
        for leaf, abstract in zip(jax.tree.leaves(restored.arrays), jax.tree.leaves(wanted), strict=True)
    )


def test_a_workdir_of_another_format_is_refused_whatever_its_config(workdir: Path, monkeypatch: pytest.MonkeyPatch):
    check_format(workdir)
    (workdir / CHECKPOINTS / "10" / META / "metadata").write_text("damaged")
    check_format(workdir)
    monkeypatch.setattr(records, "FORMAT", 3)
    with pytest.raises(CheckpointError, match="has format 2; this version reads format 3") as caught:
        check_format(workdir)
    assert caught.value.code == "CKPT-VERSION"


def test_a_workdir_without_checkpoints_has_no_format_to_refuse(tmp_path: Path):
    check_format(tmp_path)


def test_record_comes_with_the_arrays(saved: Path):
    record = restore_state(saved, target()).record
    assert (record.experiment, record.progress.batch_digest, record.progress.interval) == (
        {"seed": 3},
        "digest-10",
        (0.5, 3),
    )


def test_parameters_alone_are_restored_and_nothing_is_written(saved: Path):
    before = sorted((path, path.stat().st_mtime_ns) for path in saved.rglob("*"))
    restored = restore_params(saved, target(data=8).params)
    chex.assert_trees_all_equal(restored.arrays, state_at(10).params)
    assert sorted((path, path.stat().st_mtime_ns) for path in saved.rglob("*")) == before


def test_empty_workdir_has_no_state_and_no_parameters(tmp_path: Path):
    assert restore_state(tmp_path, target()) is None
    with pytest.raises(CheckpointError) as caught:
        restore_params(tmp_path, target().params)
    assert caught.value.code == "CKPT-MISSING"


def test_flipped_byte_in_the_data_falls_back_to_the_older_checkpoint(workdir: Path):
    flip_byte(data_files(workdir, 10)[0])
    restored = restore_state(workdir, target())
    assert restored.step == 5
    assert [step for step, _ in restored.damaged] == [10]
    chex.assert_trees_all_equal(restored.arrays, state_at(5))
    params = restore_params(workdir, target().params)
    chex.assert_trees_all_equal(params.arrays, state_at(params.step).params)


def damage_with_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def damage_with_gigabytes(path: Path) -> None:
    os.truncate(path, 2**32)


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("_METADATA", damage_with_gigabytes, "_METADATA has 4,294,967,296 bytes, and the limit is 16,777,216"),
        ("array_metadatas/process_0", damage_with_gigabytes, "process_0 has 4,294,967,296 bytes"),
        ("manifest.ocdbt", damage_with_gigabytes, "manifest.ocdbt has 4,294,967,296 bytes"),
        ("_METADATA", damage_with_pipe, "_METADATA is neither a file nor a folder"),
        ("manifest.ocdbt", damage_with_pipe, "manifest.ocdbt is neither a file nor a folder"),
        ("manifest.ocdbt", lambda path: (path.unlink(), path.symlink_to(path)), "manifest.ocdbt is not readable"),
    ],
)
def test_what_orbax_would_wait_for_or_read_whole_is_damage(
    workdir: Path, name: str, damage: Callable[[Path], object], reason: str
):
    damage(workdir / CHECKPOINTS / "10" / STATE / name)
    restored = restore_state(workdir, target())
    assert restored.step == 5
    ((step, said),) = restored.damaged
    assert step == 10
    assert reason in said


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_zero_page(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(b"\0" * min(4096, len(content)) + content[4096:])


DAMAGES = (flip_byte, damage_truncate, damage_empty, damage_zero_page, Path.unlink)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.full)])
def test_no_damage_to_any_file_restores_wrong_numbers(saved: Path, tmp_path: Path, damage, every: int):
    """Damage either does no harm, as some files are redundant, or leads to the older checkpoint; never to an error.

    Every kind damages the largest file and a sixth of the others in the default tier, and all of them in the full one.
    """
    names = [path.relative_to(saved) for path in (saved / CHECKPOINTS / "10").rglob("*") if path.is_file()]
    steps = []
    largest = data_files(saved, 10)[0].relative_to(saved)
    for index, name in enumerate({largest, *sorted(names)[DAMAGES.index(damage) % every :: every]}):
        workdir = tmp_path / str(index)
        shutil.copytree(saved, workdir)
        damage(workdir / name)
        restored = restore_state(workdir, target())
        chex.assert_trees_all_equal(restored.arrays, state_at(restored.step))
        steps.append(restored.step)
    assert 5 in steps


def test_missing_arrays_and_missing_record_are_damage(workdir: Path):
    shutil.rmtree(workdir / CHECKPOINTS / "10" / STATE)
    assert restore_state(workdir, target()).step == 5
    shutil.rmtree(workdir / CHECKPOINTS / "10" / META)
    assert "record is not readable" in restore_state(workdir, target()).damaged[0][1]


def test_poisoned_checkpoint_is_refused_and_its_remedy_works(tmp_path: Path):
    poisoned = state_at(10)
    kernel = poisoned.params["kernel"].at[3, 1].set(jnp.nan)
    with writer_in(tmp_path) as writer:
        writer.save(state_at(5), progress_at(5))
        writer.save(dataclasses.replace(poisoned, params={**poisoned.params, "kernel": kernel}), progress_at(10))
    for restore in (lambda: restore_state(tmp_path, target()), lambda: restore_params(tmp_path, target().params)):
        with pytest.raises(CheckpointError, match=r"checkpoints/10 .* params.kernel") as caught:
            restore()
        assert caught.value.code == "CKPT-NONFINITE"
    (tmp_path / CHECKPOINTS / "10").rename(tmp_path / "elsewhere")
    assert restore_state(tmp_path, target()).step == 5


def test_disk_that_fails_once_costs_no_checkpoint(saved: Path, monkeypatch: pytest.MonkeyPatch):
    read_bytes, calls = reader.read_bytes, []

    def failing_once(path: Path, *, limit: int) -> bytes:
        calls.append(path)
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read_bytes(path, limit=limit)

    monkeypatch.setattr(reader, "read_bytes", failing_once)
    restored = restore_state(saved, target())
    assert (restored.step, restored.damaged, len(calls)) == (10, (), 2)


def test_record_under_another_step_is_damage(workdir: Path):
    (workdir / CHECKPOINTS / "10").rename(workdir / CHECKPOINTS / "11")
    with pytest.raises(DamagedError, match="record is of step 10"):
        read_record(workdir, 11)


def test_nothing_valid_is_an_error_that_names_every_reason(workdir: Path):
    for step in (5, 10):
        flip_byte(workdir / CHECKPOINTS / str(step) / META / "metadata")
    with pytest.raises(CheckpointError, match=r"2 checkpoints in .* 0 verify: 10: .*; 5: ") as caught:
        restore_state(workdir, target())
    assert caught.value.code == "CKPT-NONE-VALID"


def test_another_model_is_refused_and_not_taken_for_damage(saved: Path):
    wanted = target()
    kernel = jax.ShapeDtypeStruct((64, 10), jnp.float32, sharding=wanted.params["kernel"].sharding)
    with pytest.raises(CheckpointError, match=r"params.kernel is \(64, 16\) in it, \(64, 10\) in the model"):
        restore_params(saved, {**wanted.params, "kernel": kernel})


def test_damaged_checkpoint_is_moved_and_not_deleted(workdir: Path):
    assert set_aside(workdir, 10) == workdir / CORRUPT / "10"
    assert saved_steps(workdir) == [5]
    (workdir / CHECKPOINTS / "5").rename(workdir / CHECKPOINTS / "10")
    assert set_aside(workdir, 10) == workdir / CORRUPT / "10.1"
    assert (workdir / CORRUPT / "10" / STATE).is_dir()


def test_only_finished_checkpoints_count(workdir: Path):
    (workdir / CHECKPOINTS / "15.orbax-checkpoint-tmp").mkdir()
    (workdir / CHECKPOINTS / "best").symlink_to("10")
    (workdir / CHECKPOINTS / ".removed-3").mkdir()
    (workdir / CHECKPOINTS / "20").write_text("a file")
    assert saved_steps(workdir) == [5, 10]
    assert unfinished_steps(workdir) == [15]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["step", "params", "opt_state"],
    meta_fields=[],
    drop_fields=["ema"],
)
@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlierState(TrainState):
    """The state before there was a moving average."""


def test_checkpoint_of_an_earlier_version_is_restored(tmp_path: Path):
    state = state_at(5)
    with writer_in(tmp_path) as writer:
        writer.save(EarlierState(step=state.step, params=state.params, opt_state=state.opt_state), progress_at(5))
    restored = restore_state(tmp_path, target())
    assert restored.arrays.ema is None
    chex.assert_trees_all_equal(restored.arrays, state)


def test_one_checkpoint_alone_can_be_asked_for(saved: Path):
    restored = restore_params(saved, target().params, step=5)
    assert restored.step == 5
    chex.assert_trees_all_equal(restored.arrays, state_at(5).params)


def test_damaged_checkpoint_that_was_asked_for_has_no_substitute(workdir: Path):
    flip_byte(workdir / CHECKPOINTS / "10" / META / "metadata")
    with pytest.raises(CheckpointError, match=r"1 checkpoints in .*, 0 verify"):
        restore_params(workdir, target().params, step=10)


def test_best_step_is_where_the_link_points(workdir: Path):
    with pytest.raises(CheckpointError, match="best does not exist"):
        best_step(workdir)
    (workdir / CHECKPOINTS / "best").symlink_to("5", target_is_directory=True)
    assert best_step(workdir) == 5
