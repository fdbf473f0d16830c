"""Logs of a run: numbers in metrics.jsonl, metrics.csv, timing.jsonl and TensorBoard, messages in train.log."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from gauss_vit.train.workdir.event_log import EventLog
from gauss_vit.train.workdir.metrics_log import MetricsLog
from gauss_vit.train.workdir.timing_log import TimingLog

TEXT = "train.log"
_PACKAGE_LOGGER = logging.getLogger("gauss_vit")


class Loggers:
    """The open log files of a run within a `with` block.

    Within it, messages of the package are also written to train.log.

    Args:
      workdir: folder of the run.
      step: step at which training continues; numbers after it are dropped.

    Raises:
      StorageError: metrics.jsonl cannot be written.
    """

    def __init__(self, workdir: Path, *, step: int):
        self._metrics = MetricsLog(workdir, step=step)
        self._timing = TimingLog(workdir)
        self._text = logging.FileHandler(workdir / TEXT, encoding="utf-8", delay=True)
        self._text.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._level = _PACKAGE_LOGGER.level
        _PACKAGE_LOGGER.addHandler(self._text)
        if not _PACKAGE_LOGGER.isEnabledFor(logging.INFO):
            _PACKAGE_LOGGER.setLevel(logging.INFO)
        self._events = EventLog(workdir, step=step)

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
            self._events.close()
            _PACKAGE_LOGGER.removeHandler(self._text)
            _PACKAGE_LOGGER.setLevel(self._level)
            self._text.close()

    def write(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers that are equal in every repetition of the run.

        Raises:
          StorageError: metrics.jsonl cannot be written.
        """
        self._metrics.append(split, step, values)
        self._events.append(split, step, values)

    def write_timing(self, step: int, *, epoch: float | None, images_per_second: float) -> None:
        """Writes what differs from run to run, to timing.jsonl and TensorBoard.

        Raises:
          StorageError: timing.jsonl cannot be written.
        """
        self._timing.append(step, epoch=epoch, images_per_second=images_per_second)
        self._events.append("speed", step, {"images_per_second": images_per_second})

    def sync(self) -> None:
        """Writes the numbers to the disk before a checkpoint is saved.

        Raises:
          StorageError: metrics.jsonl or metrics.csv cannot be written.
        """
        self._metrics.sync()
        self._metrics.write_table()
