"""A tracker that keeps what it is given."""

from collections.abc import Mapping
from pathlib import Path

from gauss_vit.train.tracking.tracker import TrackedRun


class Recorder:
    """A tracker that keeps what it is given.

    Args:
      run: the run.
      fails_at: step whose numbers it refuses.
    """

    def __init__(self, run: TrackedRun, *, fails_at: int | None = None):
        self.run = run
        self.numbers: list[tuple[int, dict[str, float]]] = []
        self.pictures: list[tuple[int, str, Path]] = []
        self.is_closed = False
        self._fails_at = fails_at

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if step == self._fails_at:
            raise RuntimeError("no route to host\nTraceback follows")
        self.numbers.append((step, dict(values)))

    def show(self, step: int, name: str, picture: Path) -> None:
        self.pictures.append((step, name, picture))

    def close(self) -> None:
        self.is_closed = True
