"""The numbers of a run: in metrics.jsonl, metrics.csv, timing.jsonl, and at trackers, which take pictures as well."""

from collections.abc import Mapping
from pathlib import Path

from gauss_vit.train.tracking.tensorboard import EventFile
from gauss_vit.train.tracking.tracker import OpenTracker, TolerantTracker, TrackedRun
from gauss_vit.train.workdir.metrics_log import MetricsLog
from gauss_vit.train.workdir.timing_log import Timing, TimingLog


class Numbers:
    """The open files and trackers for a run's numbers.

    Args:
      run: the run; numbers after its step are dropped.
      trackers: services that numbers and pictures go to besides TensorBoard, by their names.

    Raises:
      ConfigError: a service refuses to open.
      StorageError: metrics.jsonl cannot be written.
    """

    def __init__(self, run: TrackedRun, *, trackers: Mapping[str, OpenTracker]):
        self._run = run
        self._trackers = [TolerantTracker(name, open_tracker, run) for name, open_tracker in trackers.items()]
        self._metrics = MetricsLog(run.workdir, step=run.step)
        self._timing = TimingLog(run.workdir)

    def open_events(self) -> None:
        """Opens TensorBoard's events; where they cannot be written, a warning says so."""
        self._trackers.insert(0, TolerantTracker("TensorBoard events", EventFile, self._run))

    def close(self) -> None:
        """Writes metrics.csv and closes all files."""
        try:
            self._metrics.write_table()
        finally:
            self._metrics.close()
            self._timing.close()
            for tracker in self._trackers:
                tracker.close()

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
        """Writes what differs from run to run.

        Raises:
          StorageError: timing.jsonl cannot be written.
        """
        self._timing.append(step, timing)
        self._track("speed", step, timing.numbers())

    def sync(self) -> None:
        """Writes the numbers to the disk, but for metrics.csv, which takes seconds after a long history.

        Raises:
          StorageError: metrics.jsonl cannot be written.
        """
        self._metrics.sync()

    def _track(self, split: str, step: int, values: Mapping[str, float]) -> None:
        named = {f"{split}/{name}": value for name, value in values.items()}
        for tracker in self._trackers:
            tracker.log(step, named)
