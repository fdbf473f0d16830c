"""Logs of a run: numbers in metrics.jsonl, metrics.csv, timing.jsonl and trackers, messages in train.log."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from gauss_vit.train.tracking.tensorboard import EventFile
from gauss_vit.train.tracking.tracker import OpenTracker, TolerantTracker, TrackedRun
from gauss_vit.train.workdir.metrics_log import MetricsLog
from gauss_vit.train.workdir.timing_log import Timing, TimingLog

TEXT = "train.log"
_PACKAGE_LOGGER = logging.getLogger("gauss_vit")


class Loggers:
    """The open log files of a run within a `with` block.

    Within it, messages of the package are also written to train.log.

    Args:
      run: the run; numbers after its step are dropped.
      trackers: services that numbers and pictures go to besides TensorBoard, by their names.

    Raises:
      ConfigError: a service refuses to open.
      StorageError: metrics.jsonl cannot be written.
    """

    def __init__(self, run: TrackedRun, *, trackers: Mapping[str, OpenTracker]):
        workdir = run.workdir
        services = [TolerantTracker(name, open_tracker, run) for name, open_tracker in trackers.items()]
        self._metrics = MetricsLog(workdir, step=run.step)
        self._timing = TimingLog(workdir)
        self._text = logging.FileHandler(workdir / TEXT, encoding="utf-8", delay=True)
        self._text.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._level = _PACKAGE_LOGGER.level
        _PACKAGE_LOGGER.addHandler(self._text)
        if not _PACKAGE_LOGGER.isEnabledFor(logging.INFO):
            _PACKAGE_LOGGER.setLevel(logging.INFO)
        self._trackers = [TolerantTracker("TensorBoard events", EventFile, run), *services]

    def __enter__(self) -> "Loggers":
        """Enters the block at whose end the files are closed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes metrics.csv and closes all files."""
        try:
            self._metrics.write_table()
        finally:
            self._metrics.close()
            self._timing.close()
            for tracker in self._trackers:
                tracker.close()
            _PACKAGE_LOGGER.removeHandler(self._text)
            _PACKAGE_LOGGER.setLevel(self._level)
            self._text.close()

    def write(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers that are equal in every repetition of the run.

        Raises:
          StorageError: metrics.jsonl cannot be written.
        """
        self._metrics.append(split, step, values)
        self._track(split, step, values)

    def show(self, step: int, pictures: Mapping[str, Path]) -> None:
        """Gives pictures to the trackers, by their names."""
        for name, picture in pictures.items():
            for tracker in self._trackers:
                tracker.show(step, name, picture)

    def write_timing(self, step: int, timing: Timing) -> None:
        """Writes what differs from run to run, to timing.jsonl and the trackers.

        Raises:
          StorageError: timing.jsonl cannot be written.
        """
        self._timing.append(step, timing)
        self._track("speed", step, timing.numbers())

    def sync(self) -> None:
        """Writes the numbers to the disk before a checkpoint is saved.

        Raises:
          StorageError: metrics.jsonl or metrics.csv cannot be written.
        """
        self._metrics.sync()
        self._metrics.write_table()

    def _track(self, split: str, step: int, values: Mapping[str, float]) -> None:
        named = {f"{split}/{name}": value for name, value in values.items()}
        for tracker in self._trackers:
            tracker.log(step, named)
