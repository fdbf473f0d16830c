"""Writing checkpoints while training goes on: one at a time, announced when it is on disk, errors never swallowed."""

import errno
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import orbax.checkpoint as ocp

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import StorageError
from gauss_vit.tasks.evaluator import Best
from gauss_vit.train.checkpoint import metadata as records
from gauss_vit.train.checkpoint import retention
from gauss_vit.train.checkpoint.metadata import DamagedError, Progress, Record
from gauss_vit.train.checkpoint.reader import CHECKPOINTS, META, STATE, read_record, saved_steps
from gauss_vit.train.state import TrainState
from gauss_vit.trained_on import TrainedOn

_LOGGER = logging.getLogger(__name__)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class CheckpointWriter:
    """The only writer of a workdir's checkpoints.

    Args:
      workdir: folder of the run, held by this process.
      experiment: config as JSON, stored with every checkpoint.
      trained_on: classes, pixel statistics, grids and data, stored with every checkpoint.
      num_newest: number of the newest checkpoints to keep.
      best: rule for the best checkpoint, which is kept too; None keeps the newest only.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        experiment: Mapping[str, JsonValue],
        trained_on: TrainedOn,
        num_newest: int,
        best: Best | None,
    ):
        self._workdir = workdir
        self._folder = (workdir / CHECKPOINTS).absolute()
        self._experiment = experiment
        self._trained_on = trained_on
        self._num_newest = num_newest
        self._best = best
        self._in_flight: Progress | None = None
        self.newest_step = max(saved_steps(workdir), default=None)
        self._values = {} if best is None else _recorded_values(workdir, best.metric)
        retention.finish_removals(self._folder)
        options = ocp.CheckpointManagerOptions(max_to_keep=None, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "CheckpointWriter":
        """Enters a block at whose end no save is in flight."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the save in flight; its error is raised unless another one is being raised already.

        Raises:
          StorageError: the last save failed.
        """
        try:
            self.wait()
        except StorageError as failure:
            if error is None:
                raise
            _LOGGER.error("%s", failure)
        finally:
            self._manager.close()

    def covers(self, step: int) -> bool:
        """Returns whether a step is the newest that is saved or being saved."""
        return step == self.newest_step or (self._in_flight is not None and step == self._in_flight.step)

    def save(self, state: TrainState, progress: Progress) -> None:
        """Starts to save, after a save in flight has ended; returns when the arrays may change.

        Raises:
          StorageError: this save could not start, or the one before it failed.
        """
        self.wait()
        if not self._folder.is_dir():
            raise StorageError(f"{self._folder} vanished before the save of step {progress.step}")
        record = Record(
            progress=progress,
            experiment=self._experiment,
            trained_on=self._trained_on,
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
          StorageError: it failed.
        """
        if self._in_flight is None:
            return
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        # As in `save`: whatever the type, the checkpoint is not on disk.
        except Exception as error:
            raise self._failure(error) from error
        step = self._in_flight.step
        if step not in saved_steps(self._workdir):
            raise self._failure(FileNotFoundError(f"{self._folder / str(step)} does not exist"))
        _LOGGER.info("saved checkpoint %d", step)
        self._retain(self._in_flight)
        self.newest_step, self._in_flight = step, None

    def _retain(self, progress: Progress) -> None:
        """Updates the link to the best checkpoint and removes old ones; the new one is on disk already."""
        best = None
        if self._best is not None:
            if self._best.metric in progress.metrics:
                self._values[progress.step] = float(progress.metrics[self._best.metric])
            best = retention.best_step(self._values, mode=self._best.mode)
        if best is not None:
            retention.link_best(self._folder, best)
        for step in retention.steps_to_remove(saved_steps(self._workdir), num_newest=self._num_newest, best=best):
            retention.remove(self._folder / str(step))
            self._values.pop(step, None)
        self._manager.reload()

    def _failure(self, error: Exception) -> StorageError:
        """Builds the error of the save in flight, and ends it."""
        step = -1 if self._in_flight is None else self._in_flight.step
        self._in_flight = None
        previous = "none is on disk yet" if self.newest_step is None else f"checkpoint {self.newest_step} is intact"
        is_full = any(isinstance(cause, OSError) and cause.errno in _FULL for cause in (error, error.__cause__))
        summary = (str(error).strip().splitlines() or [""])[0][:300]
        return StorageError(
            f"saving checkpoint {step} failed: {type(error).__name__}: {summary}; {previous}",
            code="STORAGE-FULL" if is_full or "No space left" in str(error) else "STORAGE",
            do="free or repair the storage, then run the same command to resume",
        )


def _recorded_values(workdir: Path, metric: str) -> dict[int, float]:
    """Reads the metric of every checkpoint on disk that has one."""
    values = {}
    for step in saved_steps(workdir):
        try:
            metrics = read_record(workdir, step).progress.metrics
        except DamagedError as error:
            _LOGGER.warning("checkpoint %d does not compete for the best: %s", step, error)
            continue
        if metric in metrics:
            values[step] = float(metrics[metric])
    return values
