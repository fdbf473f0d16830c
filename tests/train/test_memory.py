"""A run that lacks memory says what lacked it, and leaves its checkpoints alone."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import pytest
from jax.errors import JaxRuntimeError
from jaxtyping import PyTree

from gauss_vit.batches import Batch
from gauss_vit.errors import OutOfMemoryError
from gauss_vit.train import memory
from gauss_vit.train.checkpoint.reader import saved_steps
from gauss_vit.train.loop import fit
from gauss_vit.train.run import Run
from gauss_vit.train.state import TrainState
from gauss_vit.train.step import Outcome
from tests.train.bits import trace_of
from tests.train.toy import run_in

FULL = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 137438953472 bytes.\nBufferAssignment OOM Debugging."


def refuse() -> None:
    raise JaxRuntimeError(FULL)


def with_step(run: Run, *, fails_at: int, raises: Callable[[], None]) -> Run:
    """The run whose train step fails at an update."""
    make_step = run.program.train_step

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Outcome]:
        if int(jax.device_get(state.step)) + 1 == fails_at:
            raises()
        return make_step(state, batch)

    return dataclasses.replace(run, program=dataclasses.replace(run.program, train_step=train_step))


def test_step_that_lacks_memory_costs_no_checkpoint(tmp_path: Path):
    run = run_in(tmp_path / "short")
    with pytest.raises(OutOfMemoryError, match="training ran out of memory: Out of memory while trying") as caught:
        fit(with_step(run, fails_at=8, raises=refuse))
    assert (caught.value.work, caught.value.code, caught.value.exit_status) == ("training", "DEVICE-OOM", 8)
    assert "BufferAssignment" not in str(caught.value)
    assert saved_steps(tmp_path / "short") == [3, 6]
    fit(run)
    fit(run_in(tmp_path / "whole"))
    assert trace_of(tmp_path / "short") == trace_of(tmp_path / "whole")


def test_host_that_lacks_memory_has_a_code_of_its_own(tmp_path: Path):
    def raise_memory_error() -> None:
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="training ran out of memory: MemoryError") as caught:
        fit(with_step(run_in(tmp_path), fails_at=1, raises=raise_memory_error))
    assert (caught.value.code, caught.value.exit_status) == ("OOM", 8)


def test_evaluation_and_observers_are_told_apart(tmp_path: Path):
    def eval_step(params: PyTree, batch: Batch) -> PyTree:
        raise JaxRuntimeError(FULL)

    run = run_in(tmp_path / "evaluation")
    steps = dict.fromkeys(run.program.eval_steps, eval_step)
    with pytest.raises(OutOfMemoryError, match=r"lower training\.eval_batch_size"):
        fit(dataclasses.replace(run, program=dataclasses.replace(run.program, eval_steps=steps)))
    observed = dataclasses.replace(run_in(tmp_path / "observation"), observers=(lambda step, params: refuse() or {},))
    with pytest.raises(OutOfMemoryError, match=r"lower training\.observe_images, or set it to 0"):
        fit(observed)


def test_other_errors_pass(tmp_path: Path):
    with pytest.raises(KeyError), memory.memory_faults("training"):
        raise KeyError


class Device:
    """A device that counts its memory."""

    def __init__(self, statistics: dict[str, int] | None):
        self._statistics = statistics

    def memory_stats(self) -> dict[str, int] | None:
        return self._statistics


@pytest.mark.parametrize(("statistics", "peak"), [(None, None), ({}, None), ({"peak_bytes_in_use": 5}, 5)])
def test_peak_is_that_of_the_allocator_where_there_is_one(statistics: dict[str, int] | None, peak: int | None):
    assert memory.peak_device_bytes([Device(statistics), Device({"peak_bytes_in_use": 3})]) == (peak or 3)
    assert memory.peak_device_bytes([Device(statistics)]) == peak


def test_capacity_is_that_of_the_smallest_device():
    assert memory.capacity([Device({"bytes_limit": 7}), Device({"bytes_limit": 5})]) == 5


def test_memory_of_the_host_is_that_of_this_machine():
    assert 2**20 < memory.peak_host_bytes() < memory.capacity(jax.devices()[:1])
