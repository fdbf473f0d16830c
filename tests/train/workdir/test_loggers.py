"""What is reported goes to every file, and logging is left as it was."""

import json
import logging
from pathlib import Path

import pytest

from gauss_vit.train.workdir.loggers import Loggers

LOGGER = logging.getLogger("gauss_vit")


def test_numbers_and_words_go_to_their_files(tmp_path: Path):
    with Loggers(tmp_path, step=0) as loggers:
        loggers.write("train", 1, {"loss": 0.5})
        loggers.write_timing(1, epoch=0.5, images_per_second=800.0)
        logging.getLogger("gauss_vit.train.loop").info("hello")
        loggers.sync()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "split": "train", "loss": 0.5}\n'
    (timing,) = (json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines())
    assert timing.pop("elapsed_seconds") >= 0
    assert timing == {"step": 1, "epoch": 0.5, "images_per_second": 800.0}
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["step,split,loss", "1,train,0.5"]
    assert (tmp_path / "train.log").read_text().endswith("INFO hello\n")
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize("level", [logging.NOTSET, logging.DEBUG, logging.ERROR])
def test_logging_is_left_as_it_was(tmp_path: Path, level: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(LOGGER, "level", level)
    handlers = list(LOGGER.handlers)
    with pytest.raises(KeyError), Loggers(tmp_path, step=0):
        assert LOGGER.getEffectiveLevel() <= logging.INFO
        raise KeyError
    assert (LOGGER.handlers, LOGGER.level) == (handlers, level)
