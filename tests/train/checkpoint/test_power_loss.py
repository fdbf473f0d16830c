"""A loss of power at any moment: the newest checkpoint that was announced is restored, bit for bit.

Real processes save under strace. Of what they wrote, only what had been synced is given to the restore, once with names
as of the last sync of each folder, and once with all names and the content of files that were not synced lost.
`--sweep=N` tries N moments.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import chex
import pytest

from gauss_vit.train.checkpoint.reader import CHECKPOINTS, restore_state
from tests.sweeps import evenly
from tests.train.checkpoint.disk_model import CALLS, Disk, Moment
from tests.train.states import state_at, target

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to see what is synced"),
]

ROOT = Path(__file__).parents[3]
NUM_SAVES = 5
NUM_MOMENTS = 200
_UNFINISHED = ".orbax-checkpoint-tmp"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints as they were written."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> list[Moment]:
    """Every state of the disk while a process saved."""
    workdir, trace = tmp_path_factory.mktemp("saved"), kept.parent / "trace"
    command = [sys.executable, "-m", "tests.train.checkpoint.save_many", str(workdir), str(kept), str(NUM_SAVES)]
    traced = ["strace", "-f", "-y", "-s", "300", "-e", f"trace={CALLS}", "-o", str(trace), *command]
    done = subprocess.run(
        traced, cwd=ROOT, env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return list(Disk(workdir).moments(trace))


def build(folder: Path, files: Mapping[str, bool], kept: Path) -> None:
    """Makes the folder that a loss of power left, of the files in it and whether their content is lost."""
    for name, is_lost in files.items():
        if not name.startswith(f"{CHECKPOINTS}/") or len(Path(name).parts) < 2:
            continue
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        original = kept / name.removeprefix(f"{CHECKPOINTS}/").replace(_UNFINISHED, "").replace(".removed-", "")
        path.write_bytes(b"" if is_lost or not original.is_file() else original.read_bytes())


def test_every_save_was_announced(moments: list[Moment]):
    assert moments[-1].announced == tuple(range(1, NUM_SAVES + 1))


def test_announced_checkpoint_survives_the_loss_of_power(
    moments: list[Moment], kept: Path, tmp_path: Path, sweep: int | None
):
    tried = 0
    for moment in evenly([moment for moment in moments if moment.announced], sweep or NUM_MOMENTS):
        for files in moment.views:
            workdir = tmp_path / str(tried)
            build(workdir, files, kept)
            restored = restore_state(workdir, target())
            assert restored is not None and restored.step >= moment.announced[-1]
            chex.assert_trees_all_equal(restored.arrays, state_at(restored.step))
            shutil.rmtree(workdir)
            tried += 1
    assert tried >= 2


def test_without_the_sync_it_would_not(moments: list[Moment], kept: Path, tmp_path: Path):
    """The proof that the model can fail: what orbax alone syncs is not enough."""
    files = {name: is_lost or Path(name).name == "metadata" for name, is_lost in moments[-1].views[1].items()}
    build(tmp_path, files, kept)
    with pytest.raises(ValueError, match="0 verify"):
        restore_state(tmp_path, target())
