"""What would fit into the memory of the devices, found by compiling the training step without running it."""

import logging
import re
from collections.abc import Sequence

import jax
import numpy as np
from jax.errors import JaxRuntimeError

from gauss_vit.batches import Batch
from gauss_vit.data import pipeline
from gauss_vit.data.examples import Source
from gauss_vit.distributed import processes
from gauss_vit.errors import ConfigError, OutOfMemoryError
from gauss_vit.experiment import Experiment, override
from gauss_vit.tasks.detection import Detection
from gauss_vit.train import memory
from gauss_vit.train.mesh import num_batch_shards
from gauss_vit.train.prefetch import AHEAD
from gauss_vit.train.program import Program, make_program
from gauss_vit.train.state import abstract_model
from gauss_vit.waiting import announced

_LOGGER = logging.getLogger(__name__)
_SHARE = 0.95
"""Share of a device's memory that a step may need: an allocator cannot use all of it."""

_MOST_TRIES = 4
_OF_COMPILER = re.compile(r"Used ([\d.]+)([KMG]) of [\d.]+[KMG] hbm")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}

Changes = dict[str, int | str]
"""Values of an experiment by dotted key."""


def with_advice(error: OutOfMemoryError, experiment: Experiment, source: Source) -> OutOfMemoryError:
    """Returns the error of a training step with the bytes that it needs and with a change after which it fits.

    The error is returned as it is where the training step is not at fault, or cannot be compiled by one process alone.

    Args:
      error: Error of a run.
      experiment: Its experiment.
      source: Its training split.
    """
    if error.work != "training" or processes.count() > 1:
        return error
    # A compiler that lacks memory itself may end the process.
    _LOGGER.error("%s", error.message)
    with announced("compiling smaller micro-batches, to see what fits"):
        measured = _Measured(experiment, source)
        needed, available = measured.bytes_with({}), _gibibytes(measured.available)
        is_enough = measured.fits({})
        found = None if is_enough else _advice(measured)
    needs = "more than is there" if needed is None else _gibibytes(needed)
    message = f"a training step needs {needs} on a device, where JAX has {available} ({error.message})"
    if is_enough:
        do = "end other programs that use the memory of the device"
    elif found is None:
        do = "use a smaller model or devices with more memory: more micro-batches, remat and fsdp do not suffice"
    else:
        flags = " ".join(f"--config.{key}={value}" for key, value in found[0].items())
        do = f"add {flags}, with which a step needs {_gibibytes(found[1])}, as compiled"
        if "training.accumulate" in found[0] and isinstance(experiment.task, Detection):
            do += "; micro-batches change the loss of a detector"
    return OutOfMemoryError(message, do=do, code=error.code, work=error.work)


class _Measured:
    """The memory of an experiment's step with some of its values changed; every variant is compiled once."""

    def __init__(self, experiment: Experiment, source: Source):
        self.experiment = experiment
        self.program = make_program(experiment)
        self.available = memory.capacity(self.program.mesh.local_devices)
        *_, self._batch = pipeline.train_shapes(
            source,
            transforms=experiment.data.train_transforms,
            image_size=experiment.model.image_size,
            batch_size=experiment.training.batch_size,
            buckets=experiment.data.buckets,
        )
        self._found: dict[tuple, int | None] = {}

    def bytes_with(self, changes: Changes) -> int | None:
        """Returns the bytes that one device needs; None where they are not known, or the changes exclude each other."""
        key = tuple(sorted(changes.items()))
        if key not in self._found:
            self._found[key] = self._compiled_bytes(changes)
        return self._found[key]

    def fits(self, changes: Changes) -> bool:
        """Returns whether the step with some changes fits into a device."""
        size = self.bytes_with(changes)
        return size is not None and size <= _SHARE * self.available

    def _compiled_bytes(self, changes: Changes) -> int | None:
        try:
            program = make_program(override(self.experiment, changes)) if changes else self.program
        except ConfigError:
            return None
        return step_bytes(program, self._batch)


def step_bytes(program: Program, batch: Batch) -> int | None:
    """Returns the bytes that one device needs for a training step, its state and the batches that wait.

    Args:
      program: Program of the step.
      batch: Shapes of a batch over all devices.

    Returns:
      None where the compiler gives up without saying what it needs.
    """
    try:
        # The annotation says how the step is called, not that `jax.jit` made it.
        compiled = program.train_step.lower(program.abstract, batch).compile()  # pyrefly: ignore[missing-attribute]
    except (JaxRuntimeError, MemoryError) as error:
        used = _OF_COMPILER.search(str(error))
        return None if used is None else int(float(used[1]) * _UNITS[used[2]])
    found = compiled.memory_analysis()
    own = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    images = sum(np.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(batch))
    waiting = AHEAD * int(images) // num_batch_shards(program.mesh)
    return own + found.temp_size_in_bytes + found.generated_code_size_in_bytes + waiting


def _advice(measured: _Measured) -> tuple[Changes, int] | None:
    """Returns changes after which the step fits, with its bytes: micro-batches if they suffice, else more; or None."""
    experiment = measured.experiment
    current, counts = experiment.training.accumulate, _micro_batches(experiment, measured.program)
    num_copies = measured.program.mesh.shape["data"]
    split: Changes = {"mesh.fsdp": num_copies * experiment.mesh.fsdp}
    split |= {} if experiment.mesh.data == -1 else {"mesh.data": 1}
    remat: Changes = {} if experiment.model.compute.remat == "full" else {"model.compute.remat": "full"}
    attempts: list[tuple[Changes, list[int]]] = [({}, counts)]
    attempts += [(remat, [current, *counts])] if remat else []
    attempts += [({**remat, **split}, [current, *counts])] if num_copies > 1 else []
    found = (_fewest_micro_batches(measured, numbers, others=others) for others, numbers in attempts)
    return next((one for one in found if one is not None), None)


def _micro_batches(experiment: Experiment, program: Program) -> list[int]:
    """Lists the numbers of micro-batches above the present one that the devices can share, ascending.

    There are none for a network with running statistics, which needs whole batches.
    """
    if abstract_model(experiment.network.make).statistics:
        return []
    training = experiment.training
    per_device, is_whole = divmod(training.batch_size, num_batch_shards(program.mesh))
    assert not is_whole, "the program was made of this experiment"
    return [count for count in range(training.accumulate + 1, per_device + 1) if per_device % count == 0]


def _fewest_micro_batches(measured: _Measured, counts: Sequence[int], *, others: Changes) -> tuple[Changes, int] | None:
    """Finds few micro-batches with which the step fits, by bisection; memory falls as their number grows.

    Args:
      measured: Memory of the step.
      counts: Numbers of micro-batches, ascending.
      others: Further changes.
    """

    def changes(count: int) -> Changes:
        is_same = count == measured.experiment.training.accumulate
        return others if is_same else {"training.accumulate": count, **others}

    if not counts or not measured.fits(changes(counts[-1])):
        return None
    low, high = 0, len(counts) - 1
    for _ in range(_MOST_TRIES):
        if low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if measured.fits(changes(counts[middle])) else (middle + 1, high)
    size = measured.bytes_with(changes(counts[high]))
    return None if size is None else (changes(counts[high]), size)


def _gibibytes(size: int) -> str:
    """Formats bytes.

    >>> _gibibytes(3 * 2**29), _gibibytes(2**20)
    ('1.50 GiB', '1.00 MiB')
    """
    return f"{size / 2**30:.2f} GiB" if size >= 2**29 else f"{size / 2**20:.2f} MiB"
