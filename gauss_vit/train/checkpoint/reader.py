"""Reading checkpoints: the newest one that verifies, never a damaged one in silence.

orbax stores no checksum of array data: a flipped bit restores as a wrong number. So every array is compared with the
fingerprint that its record holds, and a checkpoint that fails is skipped with a warning for the next older one.

A checkpoint is the folder `checkpoints/<step>` with `state` (arrays) and `meta` (the record). Writing is in
`writer`.
"""

import contextlib
import dataclasses
import logging
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import jax
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from gauss_vit.distributed import processes
from gauss_vit.errors import CheckpointError
from gauss_vit.files import LARGEST_JSON, read_bytes
from gauss_vit.train.checkpoint import metadata as records
from gauss_vit.train.checkpoint import retention
from gauss_vit.train.checkpoint.metadata import DamagedError, Record
from gauss_vit.train.checkpoint.quiet import quietly
from gauss_vit.train.state import TrainState

STATE, META = "state", "meta"
CHECKPOINTS, CORRUPT = "checkpoints", "corrupt"
NONE_VALID = "CKPT-NONE-VALID"
"""Code of the error that every checkpoint to choose from is damaged."""

_LOGGER = logging.getLogger(__name__)

Arrays = TypeVar("Arrays")
Weights = Literal["params", "ema"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restored:
    """Arrays whose every bit is the one that was saved.

    Attributes:
      arrays: TrainState, or the nested dict of parameters alone.
      record: record of the checkpoint.
      damaged: newer checkpoints that did not verify, as pairs of step and reason.
    """

    arrays: PyTree
    record: Record
    damaged: tuple[tuple[int, str], ...]

    @property
    def step(self) -> int:
        """Number of updates made."""
        return self.record.progress.step


def saved_steps(workdir: Path) -> list[int]:
    """Lists the steps of all finished checkpoints, oldest first; they need not verify."""
    folder = workdir / CHECKPOINTS
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())


def unfinished_steps(workdir: Path) -> list[int]:
    """Lists the steps whose saving was cut off, as by a kill."""
    names = [path.name for path in (workdir / CHECKPOINTS).glob("*.orbax-checkpoint-tmp*")]
    return sorted({int(match.group()) for name in names if (match := re.match(r"\d+", name))})


def read_record(workdir: Path, step: int) -> Record:
    """Reads the record of a checkpoint.

    Raises:
      DamagedError: its record is missing or altered.
      CheckpointError: it was written by another format.
    """
    path = workdir / CHECKPOINTS / str(step) / META / "metadata"
    try:
        record = records.from_json(read_bytes(path, limit=LARGEST_JSON).decode())
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedError(f"its record is not readable: {error}") from error
    if record.progress.step != step:
        raise DamagedError(f"its record is of step {record.progress.step}")
    return record


def check_format(workdir: Path) -> None:
    """Checks that a workdir's checkpoints have the format of this version; called before its config is read.

    Raises:
      CheckpointError: code CKPT-VERSION, the newest readable record is of another format.
    """
    for step in reversed(saved_steps(workdir)):
        with contextlib.suppress(DamagedError):
            read_record(workdir, step)
            return


def restore_state(workdir: Path, abstract: TrainState) -> Restored | None:
    """Restores the newest checkpoint that verifies, to continue training.

    Args:
      workdir: folder of the run.
      abstract: shapes, types and shardings of the train state; the mesh may differ from the one that saved.

    Returns:
      The train state, or None if the workdir holds no checkpoint at all.

    Raises:
      CheckpointError: code CKPT-NONE-VALID when there are checkpoints and none verifies; CKPT-TREE, CKPT-SHAPE or
        CKPT-DTYPE when it belongs to another model; CKPT-NONFINITE when it verifies and holds NaN; CKPT-VERSION.
    """
    steps = _agreed_steps(workdir, abstract)
    if not steps:
        return None
    return _newest_valid(workdir, lambda step: _read(workdir, step, abstract, subtree=""), steps=steps)


def best_step(workdir: Path) -> int:
    """Finds the checkpoint that was best on the evaluation split, the earlier of equal ones.

    Raises:
      CheckpointError: code CKPT-MISSING, the run has not linked any.
    """
    link = workdir / CHECKPOINTS / retention.BEST
    if not (link.is_symlink() and link.is_dir()):
        raise CheckpointError(
            f"{link} does not exist",
            code="CKPT-MISSING",
            do="train with training.best, such as Best(metric='eval/top1', mode='max')",
        )
    return int(link.readlink().name)


def restore_params(
    workdir: Path,
    abstract: PyTree,
    *,
    which: Weights = "params",
    step: int | None = None,
    stored: Callable[[Record], PyTree] | None = None,
) -> Restored:
    """Restores only the parameters of the newest checkpoint that verifies, and changes nothing on disk.

    Args:
      workdir: folder of the run; it may be training at the same time.
      abstract: nested dict of shapes, types and shardings.
      which: the parameters of the last update, or their moving average.
      step: step of the checkpoint to read; None is the newest that verifies.
      stored: Function that returns the shapes to read for a record instead of `abstract`; None reads those.

    Raises:
      CheckpointError: code CKPT-MISSING if there is no checkpoint, and as `restore_state`; CKPT-TREE also if the run
        kept no average.
    """
    steps = _agreed_steps(workdir, abstract)
    if not steps:
        raise CheckpointError(
            f"no checkpoint in {workdir / CHECKPOINTS}", code="CKPT-MISSING", do="train first, or name another folder"
        )

    def read(step: int) -> Restored:
        shapes = abstract if stored is None else stored(read_record(workdir, step))
        return _read(workdir, step, {which: shapes}, subtree=f"{which}.")

    restored = _newest_valid(workdir, read, steps=steps if step is None else [step])
    return dataclasses.replace(restored, arrays=restored.arrays[which])


def set_aside(workdir: Path, step: int) -> Path:
    """Moves a damaged checkpoint out of the way, to `corrupt/`, without deleting anything.

    Returns:
      Its new path.
    """
    folder = workdir / CORRUPT
    folder.mkdir(exist_ok=True)
    taken = {path.name for path in folder.iterdir()}
    name = next(name for name in _names(step, len(taken)) if name not in taken)
    return (workdir / CHECKPOINTS / str(step)).rename(folder / name)


def _newest_valid(workdir: Path, read: Callable[[int], Restored], *, steps: Sequence[int]) -> Restored:
    """Restores the newest checkpoint that verifies, of all or of the given ones."""
    damaged: list[tuple[int, str]] = []
    for step in reversed(steps):
        try:
            return dataclasses.replace(_read_twice(read, step), damaged=tuple(damaged))
        except DamagedError as error:
            damaged.append((step, str(error)))
    reasons = "; ".join(f"{step}: {reason}" for step, reason in damaged)
    raise CheckpointError(
        f"{len(damaged)} checkpoints in {workdir / CHECKPOINTS}, 0 verify: {reasons}",
        code=NONE_VALID,
        do="restore the folder from a backup, or train in a new workdir",
    )


def _read_twice(read: Callable[[int], Restored], step: int) -> Restored:
    """Reads a checkpoint, and once more where it seems damaged, as a disk in a network may fail once.

    All processes do the same: a checkpoint is damaged for all of them or for none.
    """
    with contextlib.suppress(DamagedError), quietly():
        return read(step)
    with quietly():
        return read(step)


def _read(workdir: Path, step: int, abstract: PyTree, *, subtree: str) -> Restored:
    """Reads and verifies one checkpoint; several processes agree on whether they could."""
    folder = (workdir / CHECKPOINTS / str(step) / STATE).absolute()
    with _agreed(abstract):
        record = read_record(workdir, step)
        records.check_fits(record, abstract, subtree=subtree)
        _check_files(folder)
        arrays = _read_arrays(folder, abstract)
    records.check_bits(record, arrays)
    records.check_finite(arrays, where=str(folder.parent))
    return Restored(arrays=arrays, record=record, damaged=())


def _is_spread(abstract: PyTree) -> bool:
    """Returns whether arrays are on devices of other processes as well."""
    shardings = [leaf.sharding for leaf in jax.tree.leaves(abstract) if leaf.sharding is not None]
    return not all(sharding.is_fully_addressable for sharding in shardings)


def _agreed_steps(workdir: Path, abstract: PyTree) -> list[int]:
    """Lists the steps of all finished checkpoints, oldest first, as process 0 sees them."""
    if not _is_spread(abstract):
        return saved_steps(workdir)
    return processes.gather("the checkpoints on disk", saved_steps(workdir))[0]


@contextlib.contextmanager
def _agreed(abstract: PyTree) -> Iterator[None]:
    """Lets a block fail in all processes where it fails in one, so that none of them waits for the others' arrays.

    Raises:
      DamagedError: that of this process, or of another one.
    """
    if not _is_spread(abstract):
        yield
        return
    try:
        yield
    except Exception as error:
        processes.gather("a checkpoint's arrays", str(error))
        raise
    told = processes.gather("a checkpoint's arrays", "")
    reasons = [f"process {index}: {reason}" for index, reason in enumerate(told) if reason]
    if reasons:
        raise DamagedError(reasons[0])


def _check_files(folder: Path) -> None:
    """Checks what orbax is to open: it waits for the other end of a pipe, and reads metadata of any size whole.

    Raises:
      DamagedError: something is neither a file nor a folder, or metadata are larger than the limit of JSON.
    """
    for path in folder.rglob("*"):
        try:
            found = path.stat()
        except OSError as error:
            raise DamagedError(f"{path.name} is not readable: {error.strerror}") from error
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise DamagedError(f"{path.name} is neither a file nor a folder")
        is_read_whole = path.name in ("_METADATA", "manifest.ocdbt") or path.parent.name == "array_metadatas"
        if is_read_whole and found.st_size > LARGEST_JSON:
            raise DamagedError(f"{path.name} has {found.st_size:,} bytes, and the limit is {LARGEST_JSON:,}")


def _read_arrays(folder: Path, abstract: Arrays) -> Arrays:
    """Reads arrays, those of the tree only, into their shardings."""
    arguments = ocp.args.PyTreeRestore(
        item=abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract), partial_restore=True
    )
    # Each process reads its own part, and waits for no other one where it cannot say that something failed.
    alone = ocp.options.MultiprocessingOptions(primary_host=processes.index(), active_processes={processes.index()})
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    try:
        with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
            return jax.block_until_ready(checkpointer.restore(folder, args=arguments))
    # A damaged file surfaces as any of a dozen types from orbax, tensorstore and json.
    except Exception as error:
        summary = (str(error).strip().splitlines() or [""])[0]
        raise DamagedError(f"its arrays are not readable: {type(error).__name__}: {summary[:200]}") from error


def _names(step: int, num_taken: int) -> list[str]:
    """Returns candidate names, one more than are taken."""
    return [str(step), *(f"{step}.{count}" for count in range(1, num_taken + 1))]
