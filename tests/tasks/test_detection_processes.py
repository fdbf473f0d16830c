"""Two processes train a detector as one does: terms of the loss are divided by counts over the whole batch."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.processes import free_port, simulated, started

MODULE = "tests.tasks.train_objects_together"


@pytest.mark.full
def test_two_processes_have_the_losses_of_one(tmp_path: Path):
    """The last image is padding, and the second one has no objects: the processes have other counts."""
    address = f"127.0.0.1:{free_port()}"
    choices = {"one": ["off"], "two": [f"{address},2,{index}" for index in (0, 1)]}
    found = {}
    for name, each in choices.items():
        commands = [[sys.executable, "-m", MODULE, choice] for choice in each]
        with started(commands, tmp_path / name, environment=simulated(2 // len(each))) as running:
            ended = running.wait(limit=600)
        assert [process.status for process in ended] == [0] * len(each), ended
        found[name] = [json.loads(process.out.splitlines()[-1]) for process in ended]
    first, second = found["two"]
    assert first == second
    np.testing.assert_allclose(first, found["one"][0], rtol=0, atol=1e-5)
