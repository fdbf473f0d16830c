"""Writing checkpoints while training goes on: one at a time, announced when it is on disk, errors never swallowed.

orbax waits for the disk (fsync) with the files of arrays alone. So every file, every folder and every entry is synced
here before a checkpoint is announced or an older one removed. What cannot be removed stays, with a warning.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType

import orbax.checkpoint as ocp

from gauss_vit.config.schema import JsonValue
from gauss_vit.distributed import processes
from gauss_vit.errors import StorageError, storage_error
from gauss_vit.files import sync_entries, sync_tree
from gauss_vit.train.checkpoint import metadata as records
from gauss_vit.train.checkpoint import retention as retentions
from gauss_vit.train.checkpoint.metadata import DamagedError, Progress, Record
from gauss_vit.train.checkpoint.origin import Origin
from gauss_vit.train.checkpoint.quiet import delete_abandoned, quietly
from gauss_vit.train.checkpoint.reader import CHECKPOINTS, META, STATE, read_record, saved_steps, set_aside
from gauss_vit.train.checkpoint.retention import Retention
from gauss_vit.train.state import TrainState
from gauss_vit.trained_on import TrainedOn

_LOGGER = logging.getLogger(__name__)


def _held_for_certain() -> None:
    """Stands for a workdir that nobody else knows."""


class CheckpointWriter:
    """The only writer of a workdir's checkpoints.

    Args:
      workdir: folder of the run, held by this process.
      experiment: config as JSON, stored with every checkpoint.
      trained_on: classes, pixel statistics, grids and data, stored with every checkpoint.
      origin: versions, devices and overrides, stored with every checkpoint.
      retention: rule for the checkpoints that stay.
      require_hold: function that raises a BusyError if another run has taken the workdir.
      logged: metric of the best checkpoint by step, as logged; of evaluations made after the checkpoint was saved, the
        record knows nothing.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        experiment: Mapping[str, JsonValue],
        trained_on: TrainedOn,
        origin: Origin,
        retention: Retention,
        require_hold: Callable[[], None] = _held_for_certain,
        logged: Mapping[int, float] = MappingProxyType({}),
    ):
        self._workdir = workdir
        self._folder = (workdir / CHECKPOINTS).absolute()
        self._experiment = experiment
        self._trained_on = trained_on
        self._origin = origin
        self._retention = retention
        self._require_hold = require_hold
        self._logged = logged
        self._in_flight: Progress | None = None
        self._quiet = contextlib.ExitStack()
        self._undeletable: set[str] = set()
        self._values: dict[int, float] = {}
        self.newest_step: int | None = processes.on_first("old checkpoints", self._begin)
        options = ocp.CheckpointManagerOptions(max_to_keep=None, cleanup_tmp_directories=False)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "CheckpointWriter":
        """Enters a block at whose end no save is in flight."""
        self._quiet.enter_context(quietly())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the save in flight; its error is raised unless another one is being raised already.

        Raises:
          StorageError: the last save failed.
        """
        raised = error
        try:
            self.wait()
        except StorageError as failure:
            raised = failure
            if error is None:
                raise
            _LOGGER.error("%s", failure)
        finally:
            self._close(is_failing=raised is not None)
            self._quiet.close()

    def _close(self, *, is_failing: bool) -> None:
        """Closes orbax's manager, which may fail again over a failed save: the first error is the one that counts."""
        try:
            self._manager.close()
        # Of any type, as in `save`.
        except Exception as error:
            if not is_failing:
                raise
            _LOGGER.debug("orbax was not closed: %s", error)

    def _begin(self) -> int | None:
        """Reads what is on disk, finishes removals, and returns the newest step."""
        if self._retention.best is not None:
            self._values = _known_values(self._workdir, self._retention.best.metric, self._logged)
        self._remove(retentions.leftovers(self._folder))
        return max(saved_steps(self._workdir), default=None)

    def covers(self, step: int) -> bool:
        """Returns whether a step is the newest that is saved or being saved."""
        return step == self.newest_step or (self._in_flight is not None and step == self._in_flight.step)

    def save(self, state: TrainState, progress: Progress) -> None:
        """Starts to save, after a save in flight has ended; returns when the arrays may change.

        Raises:
          StorageError: this save could not start, or the one before it failed.
          BusyError: another run has taken the workdir.
        """
        self.wait()
        self._require_hold()
        if not self._folder.is_dir():
            raise StorageError(f"{self._folder} vanished before the save of step {progress.step}")
        record = Record(
            progress=progress,
            experiment=self._experiment,
            trained_on=self._trained_on,
            origin=self._origin,
            leaves=records.describe(state),
        )
        arguments = ocp.args.Composite(
            **{STATE: ocp.args.StandardSave(state), META: ocp.args.JsonSave(records.to_json(record))}
        )
        self._in_flight = progress
        try:
            is_started = self._manager.save(progress.step, args=arguments)
        # orbax, tensorstore and the system each raise types of their own; all mean that there is no checkpoint.
        except Exception as error:
            raise self._failure(error) from error
        if not is_started:
            raise self._failure(RuntimeError(f"orbax refused the step; newest is {self._manager.latest_step()}"))

    def poll(self) -> None:
        """Checks, without waiting, whether the save in flight has ended; to be called at each step.

        Raises:
          StorageError: it failed.
        """
        if self._in_flight is not None and not self._manager.is_saving_in_progress():
            self.wait()

    def wait(self) -> None:
        """Waits for the save in flight, logs it, and removes checkpoints that are not kept.

        Raises:
          StorageError: it failed, or the folder could not be updated after it, such as the link to the best.
        """
        if self._in_flight is None:
            return
        progress = self._in_flight
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
            if processes.is_first():
                self._sync(self._folder / str(progress.step))
        # As in `save`: whatever the type, the checkpoint is not on disk.
        except Exception as error:
            raise self._failure(error) from error
        self.newest_step, self._in_flight = progress.step, None
        _LOGGER.info("saved checkpoint %d", progress.step)
        if processes.is_first():
            self._update(progress.step, progress.metrics)

    def rank(self, step: int, metrics: Mapping[str, float]) -> None:
        """Ranks a checkpoint on disk by evaluations that were made after it was saved.

        Raises:
          StorageError: the folder could not be updated, such as the link to the best.
        """
        if processes.is_first():
            self._update(step, metrics)

    def set_aside(self, step: int) -> Path:
        """Moves a damaged checkpoint out of the way, links the best of the others, and returns the new path.

        Raises:
          StorageError: the folder could not be updated.
        """
        return Path(processes.on_first("a damaged checkpoint", lambda: self._set_aside(step)))

    def _set_aside(self, step: int) -> str:
        try:
            moved = set_aside(self._workdir, step)
            self._values.pop(step, None)
            self._retain(step, {})
        except OSError as error:
            raise storage_error(error, f"checkpoint {step} is damaged, {self._folder} not updated") from error
        return str(moved)

    def _sync(self, checkpoint: Path) -> None:
        """Waits until a checkpoint and every entry that leads to it from the workdir are on the disk."""
        sync_tree(checkpoint)
        sync_entries(self._folder)
        sync_entries(self._workdir)

    def _update(self, step: int, metrics: Mapping[str, float]) -> None:
        try:
            self._retain(step, metrics)
        except OSError as error:
            raise storage_error(error, f"checkpoint {step} is saved, {self._folder} not updated") from error

    def _retain(self, step: int, metrics: Mapping[str, float]) -> None:
        """Updates the link to the best checkpoint and removes old ones; the newest one is on disk already."""
        best, rule = None, self._retention.best
        if rule is not None:
            if rule.metric in metrics:
                self._values[step] = float(metrics[rule.metric])
            best = retentions.best_step(self._values, mode=rule.mode)
        if best is not None:
            retentions.link_best(self._folder, best)
        removed = retentions.steps_to_remove(saved_steps(self._workdir), self._retention, best=best)
        self._remove([self._folder / str(step) for step in removed])
        for step in removed:
            self._values.pop(step, None)
        self._manager.reload()

    def _remove(self, folders: Sequence[Path]) -> None:
        """Removes folders; one that cannot be removed is said once, and is no reason to stop."""
        for folder in folders:
            try:
                retentions.remove(folder)
            except OSError as error:
                if folder.name not in self._undeletable:
                    _LOGGER.warning("%s cannot be removed, the run goes on: %s", folder, error.strerror or error)
                self._undeletable.add(folder.name)

    def _failure(self, error: Exception) -> StorageError:
        """Builds the error of the save in flight, and ends it."""
        delete_abandoned()
        step = -1 if self._in_flight is None else self._in_flight.step
        self._in_flight = None
        previous = "none is on disk yet" if self.newest_step is None else f"checkpoint {self.newest_step} is intact"
        return storage_error(error, f"saving checkpoint {step} failed", after=f"; {previous}")


def _known_values(workdir: Path, metric: str, logged: Mapping[int, float]) -> dict[int, float]:
    """Returns the metric of every checkpoint on disk that has one, in its record or else in the log."""
    values = {}
    for step in saved_steps(workdir):
        try:
            metrics = read_record(workdir, step).progress.metrics
        except DamagedError as error:
            _LOGGER.warning("checkpoint %d does not compete for the best: %s", step, error)
            continue
        if metric in metrics or step in logged:
            values[step] = float(metrics[metric] if metric in metrics else logged[step])
    return values
