"""Every pixel of whole images of many sizes counts once, for any batch, devices and processes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.processes import free_port, simulated, started
from tests.train.whole_images import SIZES, SOURCE, histogram

EXPECTED = sum(np.bincount(SOURCE[index].targets.mask.values.ravel(), minlength=7) for index in range(len(SIZES)))


@pytest.mark.parametrize(("num_devices", "batch_size"), [(1, 1), (1, 3), (8, 8)])
def test_counts_are_exact_on_any_devices(num_devices: int, batch_size: int):
    assert list(histogram(num_devices, batch_size=batch_size).values()) == EXPECTED.tolist()


def test_counts_are_exact_in_two_processes(tmp_path: Path):
    address = f"127.0.0.1:{free_port()}"
    commands = [[sys.executable, "-m", "tests.train.whole_images", f"{address},2,{index}"] for index in range(2)]
    with started(commands, tmp_path, environment=simulated(1)) as running:
        for ended in running.wait():
            assert ended.status == 0, ended.err[-2000:]
            assert list(json.loads(ended.out.splitlines()[-1]).values()) == EXPECTED.tolist()
