"""Checkpoints that the system really does not let anybody delete: the run goes on, and so does the next one."""

import logging
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gauss_vit.train.checkpoint.reader import CHECKPOINTS, saved_steps
from tests.train.states import progress_at, save_steps, state_at, writer_in

pytestmark = pytest.mark.full


def chattr(change: str, path: Path) -> int:
    """Changes attributes of everything below a path; gives the status."""
    if shutil.which("chattr") is None:
        return 1
    recursive = ["-R"] if change == "-i" else []
    return subprocess.run(["chattr", *recursive, change, str(path)], capture_output=True, check=False).returncode


@pytest.fixture
def protect(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Makes a file or folder immutable until the test ends; needs root, and a file system that knows it."""

    def change(path: Path) -> None:
        if chattr("+i", path) != 0:
            pytest.skip("chattr +i is not possible here: it needs root and a file system that knows it")

    yield change
    chattr("-i", tmp_path)


@pytest.mark.parametrize("part", [".", "meta", "meta/metadata"])
def test_runs_go_on_over_it_and_remove_it_once_they_can(
    tmp_path: Path, part: str, protect: Callable[[Path], None], caplog: pytest.LogCaptureFixture
):
    save_steps(tmp_path, 1)
    protect(tmp_path / CHECKPOINTS / "1" / part)
    for first in (2, 5):
        caplog.clear()
        with writer_in(tmp_path, num_newest=1) as writer:
            for step in range(first, first + 3):
                writer.save(state_at(step), progress_at(step))
        assert saved_steps(tmp_path)[-1] == first + 2
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1 and "cannot be removed, the run goes on" in warnings[0]
    assert chattr("-i", tmp_path) == 0
    with writer_in(tmp_path, num_newest=1) as writer:
        writer.save(state_at(8), progress_at(8))
    assert [path.name for path in (tmp_path / CHECKPOINTS).iterdir()] == ["8"]
