"""Two processes measure the precision that one does."""

import json
import sys
from pathlib import Path

import pytest

from tests.processes import free_port, simulated, started
from tests.tasks.evaluate_spelled_objects import values


@pytest.mark.full
def test_two_processes_measure_what_one_does(tmp_path: Path):
    address = f"127.0.0.1:{free_port()}"
    commands = [
        [sys.executable, "-m", "tests.tasks.evaluate_spelled_objects", f"{address},2,{index}"] for index in (0, 1)
    ]
    with started(commands, tmp_path, environment=simulated(2)) as running:
        ended = running.wait()
    assert [process.status for process in ended] == [0, 0], ended
    # As text, in which NaN is equal to itself.
    assert [process.out.splitlines()[-1] for process in ended] == [json.dumps({"devices": 4, "values": values(1)})] * 2
