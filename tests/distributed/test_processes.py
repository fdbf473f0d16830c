"""What real processes tell each other."""

import json
import sys
from pathlib import Path

import pytest

from gauss_vit.distributed import processes
from tests.processes import Ended, free_port, simulated, started

LOOPBACK, LOOPBACK_IN_SIX = "0100007F", "0000000000000000FFFF00000100007F"


def talk(folder: Path, act: str, *, count: int) -> list[Ended]:
    address = f"127.0.0.1:{free_port()}"
    commands = [
        [sys.executable, "-m", "tests.distributed.talk", f"{address},{count},{index}", act] for index in range(count)
    ]
    with started(commands, folder, environment=simulated(2)) as running:
        return running.wait()


def test_one_process_tells_itself():
    assert (processes.index(), processes.count(), processes.is_first()) == (0, 1, True)
    assert processes.gather("numbers", {"a": 1}, limit=0.0) == [{"a": 1}]
    processes.barrier("here", limit=0.0)


def test_a_process_that_does_not_come_is_named_within_the_limit(tmp_path: Path):
    first, second = talk(tmp_path, "absent", count=2)
    for ended in (first, second):
        said = json.loads(ended.out)
        assert said["gathered"] == [[{"index": index, "turn": turn} for index in range(2)] for turn in (1, 2)]
        assert (said["devices"], said["local"]) == (4, 2)
        assert set(said["listening"]) <= {LOOPBACK, LOOPBACK_IN_SIX}
    assert json.loads(first.out)["listening"]
    assert (first.status, second.status) == (6, 0)
    assert first.err.strip().startswith("gauss_vit: error[PEER-LOST]: process 0 waited")
    assert "s for process 1 at the meeting. DO: " in first.err
    assert "Check failure stack trace" not in first.err + second.err


@pytest.mark.full
def test_four_processes_tell_each_other(tmp_path: Path):
    for ended in talk(tmp_path, "talk", count=4):
        assert ended.status == 0
        assert json.loads(ended.out)["gathered"][1] == [{"index": index, "turn": 2} for index in range(4)]
