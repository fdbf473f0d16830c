"""Two processes count the pixels that one does."""

import json
import sys
from pathlib import Path

from tests.processes import free_port, simulated, started
from tests.tasks.evaluate_shapes import confusion


def test_two_processes_count_what_one_does(tmp_path: Path):
    address = f"127.0.0.1:{free_port()}"
    commands = [[sys.executable, "-m", "tests.tasks.evaluate_shapes", f"{address},2,{index}"] for index in range(2)]
    with started(commands, tmp_path, environment=simulated(2)) as running:
        ended = running.wait()
    assert [process.status for process in ended] == [0, 0], ended
    expected = confusion()
    assert [json.loads(process.out.splitlines()[-1]) for process in ended] == [{"devices": 4, "counts": expected}] * 2
