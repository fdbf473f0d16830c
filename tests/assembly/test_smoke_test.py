"""The smoke test of a config: everything once, with the config's own schedule, and nothing kept."""

import dataclasses
import tempfile
from pathlib import Path

import pytest

from gauss_vit import main as program
from gauss_vit.assembly import smoke_test
from gauss_vit.train.optim import Schedule, Warmup
from gauss_vit.train.optim.optimizer import learning_rate
from tests.tiny_config import FLAG, OBSERVED, ONE_DEVICE, get_config


@pytest.mark.parametrize(
    ("observed", "drawn"),
    [
        ([], "nothing: observe_images is 0"),
        pytest.param([OBSERVED], "erf/step_0000002.png and 4 more pictures", marks=pytest.mark.full),
    ],
)
def test_smoke_test_says_what_it_did_and_keeps_nothing(
    capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, observed: list[str], drawn: str
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    overrides = ["--config.training.num_steps=5000", "--config.optimizer.schedule.warmup.steps=2000"]
    assert program.main(["train", "--smoke", FLAG, ONE_DEVICE, *observed, *overrides]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("smoke test passed in ")
    assert lines[1:] == [
        "  trained    2 steps of 16 images",
        "  evaluated  eval on 16 images",
        "  saved      checkpoint 2",
        f"  drew       {drawn}",
    ]
    assert not list(tmp_path.iterdir())


def test_smoke_test_of_missing_data_has_their_remedy(capsys):
    assert program.main(["train", "--smoke", FLAG, "--config.data.name=folder"]) == 3
    assert "data.name=folder reads a folder of images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.training.batch_size=12", "training.batch_size 12 is not divisible by the number of devices 8"),
        ("--config.training.batch_size=4096", "the 1437 images of the training split do not fill a batch of 4096"),
    ],
)
def test_batches_that_would_not_fit_the_whole_run_are_refused(override: str, message: str, capsys):
    assert program.main(["train", "--smoke", FLAG, override]) in (2, 3)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("num_devices", [1, 4])
def test_batches_are_small_and_divide_among_devices_and_micro_batches(num_devices: int):
    shown = get_config()
    training = dataclasses.replace(shown.training, batch_size=96, accumulate=3, eval_batch_size=128)
    short = smoke_test.shortened(dataclasses.replace(shown, training=training), num_devices=num_devices)
    assert short.training.batch_size == 6 * num_devices
    assert short.training.eval_batch_size == 2 * num_devices


def test_learning_rates_are_the_first_ones_of_the_run():
    optimizer = dataclasses.replace(get_config().optimizer, schedule=Schedule(warmup=Warmup(share=0.5)))
    training = dataclasses.replace(get_config().training, num_steps=1000)
    shown = dataclasses.replace(get_config(), optimizer=optimizer, training=training)
    short = smoke_test.shortened(shown, num_devices=1)
    for step in range(2):
        assert learning_rate(short.optimizer, 2)(step) == learning_rate(optimizer, 1000)(step)
