"""`show` needs neither data nor the devices that it plans for."""

import dataclasses
import json

import pytest

from gauss_vit import experiment
from gauss_vit import main as program
from tests.tiny_config import get_config

TINY = get_config()


def test_first_lines_are_the_resolved_config(capsys: pytest.CaptureFixture[str]):
    assert program.main(["show", "--config=tests/tiny_config.py", "--config.seed=5"]) == 0
    config = capsys.readouterr().out.split("\n\n")[0]
    assert experiment.from_json(json.loads(config)) == dataclasses.replace(TINY, seed=5)


def test_more_devices_than_there_are_can_be_planned_for(capsys: pytest.CaptureFixture[str]):
    assert program.main(["show", "--config=tests/tiny_config.py", "--mesh=16"]) == 0
    assert "mesh of 16 devices: slices=1, data=16, fsdp=1, tensor=1" in capsys.readouterr().out


def test_batch_that_does_not_divide_is_refused(capsys: pytest.CaptureFixture[str]):
    assert program.main(["show", "--config=tests/tiny_config.py", "--mesh=3"]) == 2
    assert "training.batch_size 16 is not divisible by the number of devices 3" in capsys.readouterr().err


def test_the_kernel_of_attention_is_named(capsys: pytest.CaptureFixture[str]):
    assert program.main(["show", "--config=tests/tiny_config.py"]) == 0
    assert "attention: whole (8 patches, fewer than 1024, on a cpu)" in capsys.readouterr().out
