"""`preflight` passes where a run could begin or resume, and otherwise says in a sentence what is missing, in time."""

import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from gauss_vit import main as program
from gauss_vit.assembly import preflight as preflights
from gauss_vit.distributed import ending
from gauss_vit.distributed.watchdog import Expired, Wait
from gauss_vit.errors import PeerError
from gauss_vit.train.workdir import lock
from tests import processes
from tests.tiny_config import FLAG as CONFIG
from tests.tiny_config import get_config

LIMIT_SECONDS = 60


def preflight(workdir: Path, *flags: str) -> int:
    return program.main(["preflight", CONFIG, f"--workdir={workdir}", "--distributed=off", *flags])


def test_says_what_it_found_and_leaves_a_workdir_as_before_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert preflight(tmp_path / "run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["processes", "agreement", "data", "workdir", "step", "preflight"]
    assert "training 1437, eval 50 images of 10 classes" in lines[2]
    assert "loss of the first batch 2.3" in lines[4]
    assert {path.name for path in (tmp_path / "run").rglob("*")} == {".lock", "checkpoints"}


def test_the_error_of_what_hangs_names_the_limit_of_preflight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def end(error: PeerError) -> None:
        raise error

    expired: list[Expired] = []
    monkeypatch.setattr(ending, "at_once", end)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(preflights, "Watchdog", expired.append)
    preflights.Preflight(get_config(), limit=10.0)
    with pytest.raises(PeerError) as caught:
        expired[0](Wait(what="the data", limit=10.0), 11.0)
    assert caught.value.do.endswith("raise --limit, or of the first training steps --config.limits.compile")


@pytest.mark.parametrize(
    ("flag", "status", "message"),
    [
        ("--config.data.name=folder", 3, "data.data_dir"),
        ("--config.training.batch_size=2000", 3, "do not fill a batch of 2000"),
        ("--config.platform=tpu", 2, "error[PLATFORM]"),
    ],
)
def test_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, status: int, message: str):
    assert preflight(tmp_path, flag) == status
    said = capsys.readouterr()
    assert message in said.err
    assert "passed" not in said.out


def test_a_workdir_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with lock.hold(tmp_path):
        assert preflight(tmp_path) == 7
    assert "error[WORKDIR-BUSY]" in capsys.readouterr().err


def test_a_workdir_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    assert preflight(tmp_path / "file" / "run") == 8
    assert "error[WORKDIR]" in capsys.readouterr().err


def test_the_run_of_another_config_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = program.main(["show", CONFIG, "--config.optimizer.learning_rate=0.5"])
    shown = capsys.readouterr().out.split("\n\n")[0]
    (tmp_path / lock.CONFIG).write_text(shown)
    assert (config, preflight(tmp_path)) == (0, 2)
    assert "optimizer.learning_rate" in capsys.readouterr().err


def run(folder: Path, *, homes: tuple[Path, Path], flags: tuple[str, ...] = ()) -> list[processes.Ended]:
    """Runs two processes whose users have different homes, as hosts without shared storage have."""
    arguments = ["preflight", CONFIG, "--workdir=~/run", *flags]
    commands = [
        ["env", f"HOME={home}", *command]
        for home, command in zip(homes, processes.program(arguments, count=2), strict=True)
    ]
    with processes.started(commands, folder, environment=processes.simulated(1)) as running:
        return running.wait(limit=LIMIT_SECONDS)


def homes(folder: Path) -> tuple[Path, Path]:
    made = (folder / "home0", folder / "home1")
    for home in made:
        home.mkdir()
    return made


@pytest.mark.full
def test_hosts_that_do_not_share_the_workdir_are_told(tmp_path: Path):
    ended = run(tmp_path / "out", homes=homes(tmp_path))
    assert [each.status for each in ended] == [2, 2]
    assert all("error[WORKDIR-SHARED]" in each.err for each in ended)
    assert "process 1: " in ended[0].err


@pytest.mark.full
def test_passes_on_two_hosts_that_share_everything(tmp_path: Path):
    shared, _ = homes(tmp_path)
    ended = run(tmp_path / "out", homes=(shared, shared))
    assert [each.status for each in ended] == [0, 0], ended
    assert "preflight passed in" in ended[0].out
    assert ended[1].out == ""


@pytest.mark.full
def test_data_that_only_one_host_has_are_named_by_all(tmp_path: Path):
    first, second = homes(tmp_path)
    (first / "birds").mkdir()
    flags = ("--config.data.name=folder", "--config.data.data_dir=~/birds")
    ended = run(tmp_path / "out", homes=(first, second), flags=flags)
    assert [each.status for each in ended] == [3, 3]
    assert all("birds" in each.err for each in ended)


def test_hosts_with_another_config_are_named_before_anything_is_compiled(tmp_path: Path):
    commands = processes.program(["preflight", CONFIG, f"--workdir={tmp_path}/run"], count=2)
    commands[1].append("--config.optimizer.learning_rate=0.5")
    with processes.started(commands, tmp_path / "out", environment=processes.simulated(1)) as running:
        ended = running.wait(limit=LIMIT_SECONDS)
    assert [each.status for each in ended] == [2, 2]
    assert all("error[HOST-MISMATCH]" in each.err and "optimizer.learning_rate" in each.err for each in ended)


@pytest.mark.full
def test_hosts_with_other_code_are_named(tmp_path: Path):
    copied = tmp_path / "gauss_vit"
    shutil.copytree(processes.ROOT / "gauss_vit", copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "tree.py").write_text((copied / "tree.py").read_text() + "\n")
    commands = processes.program(["preflight", CONFIG, f"--workdir={tmp_path}/run"], count=2)
    interpreter, *rest = commands[1]
    commands[1] = ["env", f"PYTHONPATH={tmp_path}:{processes.ROOT}", interpreter, "-P", *rest]
    with processes.started(commands, tmp_path / "out", environment=processes.simulated(1)) as running:
        ended = running.wait(limit=LIMIT_SECONDS)
    assert [each.status for each in ended] == [2, 2]
    assert all("error[HOST-MISMATCH]" in each.err and "code is " in each.err for each in ended)


@pytest.mark.full
def test_a_host_that_does_not_come_is_named_within_the_limit(tmp_path: Path):
    commands = processes.program(["preflight", CONFIG, f"--workdir={tmp_path}/run", "--limit=10"], count=2)
    with processes.started(commands[:1], tmp_path / "out", environment=processes.simulated(1)) as running:
        (ended,) = running.wait(limit=LIMIT_SECONDS)
    assert ended.status == 6
    assert "error[PEER-LOST]" in ended.err
    assert "process 1" in ended.err
    assert ended.seconds < 10 + 30


@pytest.mark.full
def test_a_host_that_stops_answering_is_named_within_the_limit(tmp_path: Path):
    commands = processes.program(["preflight", CONFIG, f"--workdir={tmp_path}/run", "--limit=10"], count=2)
    with processes.started(commands, tmp_path / "out", environment=processes.simulated(1)) as running:
        while "processes" not in (tmp_path / "out" / "0.out").read_text():
            time.sleep(0.01)
        running.signal(1, signal.SIGSTOP)
        running.wait_until_said(0, "error[", limit=LIMIT_SECONDS)
        assert "PEER-LOST" in running.said(0)
        assert "process 1" in running.said(0)
