"""timing.jsonl: epochs, elapsed time and speed of a run, apart from metrics.jsonl, which is equal in every repetition.

A line holds the step, the epochs made (null if the data set has no size), the seconds that all processes of the run
have taken so far, and the images per second since the line before. Nothing is removed: steps that a resumed run repeats
have a line each time.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

from gauss_vit.errors import StorageError

LINES = "timing.jsonl"


class TimingLog:
    """An open timing.jsonl that lines are appended to.

    Args:
      workdir: folder of the run.
      clock: function that returns monotonic seconds.

    Raises:
      StorageError: the file cannot be written.
    """

    def __init__(self, workdir: Path, clock: Callable[[], float] = time.monotonic):
        self._path = workdir / LINES
        self._clock = clock
        try:
            self._start = clock() - _elapsed_before(self._path)
            is_torn = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
            self._file = self._path.open("a", encoding="utf-8")
            self._file.write("\n" if is_torn else "")
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def append(self, step: int, *, epoch: float | None, images_per_second: float) -> None:
        """Writes one line.

        Raises:
          StorageError: the file cannot be written.
        """
        line = {
            "step": step,
            "epoch": None if epoch is None else round(epoch, 4),
            "elapsed_seconds": round(self._clock() - self._start, 3),
            "images_per_second": round(images_per_second, 1),
        }
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _elapsed_before(path: Path) -> float:
    """Returns the elapsed seconds of the last whole line; 0 if there is none."""
    if not path.exists():
        return 0.0
    elapsed = 0.0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            elapsed = float(json.loads(line)["elapsed_seconds"])
        except (ValueError, KeyError, TypeError):
            continue
    return elapsed


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot write {path}: {error.strerror or error}", do="free or repair the storage")
