"""Logs of a run: numbers in metrics.jsonl, metrics.csv, timing.jsonl and trackers, messages in train.log.

Of several processes the first alone writes numbers; the messages of the others go to train.1.log, train.2.log, ...
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from gauss_vit.distributed import processes
from gauss_vit.train.tracking.tracker import OpenTracker, TrackedRun
from gauss_vit.train.workdir.numbers import Numbers
from gauss_vit.train.workdir.text_log import TextLog
from gauss_vit.train.workdir.timing_log import Timing

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
        self._numbers = Numbers(run, trackers=trackers) if processes.is_first() else None
        self._text = TextLog(run.workdir / text_file(processes.index()))
        self._level = _PACKAGE_LOGGER.level
        _PACKAGE_LOGGER.addHandler(self._text)
        if not _PACKAGE_LOGGER.isEnabledFor(logging.INFO):
            _PACKAGE_LOGGER.setLevel(logging.INFO)
        if self._numbers is not None:
            self._numbers.open_events()

    def __enter__(self) -> "Loggers":
        """Enters the block at whose end the files are closed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes metrics.csv and closes all files."""
        try:
            if self._numbers is not None:
                self._numbers.close()
        finally:
            _PACKAGE_LOGGER.removeHandler(self._text)
            _PACKAGE_LOGGER.setLevel(self._level)
            self._text.close()

    def write(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers that are equal in every repetition of the run.

        Raises:
          StorageError: metrics.jsonl cannot be written.
        """
        if self._numbers is not None:
            self._numbers.write(split, step, values)

    def show(self, step: int, pictures: Mapping[str, Path]) -> None:
        """Gives pictures to the trackers, by their names."""
        if self._numbers is not None:
            self._numbers.show(step, pictures)

    def write_timing(self, step: int, timing: Timing) -> None:
        """Writes what differs from run to run, to timing.jsonl and the trackers.

        Raises:
          StorageError: timing.jsonl cannot be written.
        """
        if self._numbers is not None:
            self._numbers.write_timing(step, timing)

    def sync(self) -> None:
        """Writes the numbers to the disk before a checkpoint is saved.

        Raises:
          StorageError: metrics.jsonl cannot be written.
        """
        if self._numbers is not None:
            self._numbers.sync()


def text_file(index: int) -> str:
    """Returns the name of the file for the messages of a process.

    >>> text_file(0), text_file(2)
    ('train.log', 'train.2.log')
    """
    return TEXT if index == 0 else f"{Path(TEXT).stem}.{index}{Path(TEXT).suffix}"
