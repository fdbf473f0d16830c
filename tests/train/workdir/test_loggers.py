"""What is reported goes to every file, and logging is left as it was."""

import json
import logging
from pathlib import Path

import pytest

from gauss_vit.distributed import processes
from gauss_vit.train.tracking.tracker import TrackedRun
from gauss_vit.train.workdir.loggers import Loggers
from tests.train.tracking.recorder import Recorder
from tests.train.workdir.test_timing_log import TIMING


def loggers_in(workdir: Path, **trackers: Recorder) -> Loggers:
    run = TrackedRun(workdir=workdir, step=0, config={})
    return Loggers(run, trackers={name: lambda run, tracker=tracker: tracker for name, tracker in trackers.items()})


LOGGER = logging.getLogger("gauss_vit")


def test_numbers_and_words_go_to_their_files(tmp_path: Path):
    with loggers_in(tmp_path) as loggers:
        loggers.write("train", 1, {"loss": 0.5})
        loggers.write_timing(1, TIMING)
        logging.getLogger("gauss_vit.train.loop").info("hello")
        loggers.sync()
        assert not (tmp_path / "metrics.csv").exists(), "a long table would hold up every save"
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "split": "train", "loss": 0.5}\n'
    (timing,) = (json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines())
    assert (timing["step"], timing["images_per_second"]) == (1, 812.3)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["step,split,loss", "1,train,0.5"]
    assert (tmp_path / "train.log").read_text().endswith("INFO hello\n")
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize("level", [logging.NOTSET, logging.DEBUG, logging.ERROR])
def test_logging_is_left_as_it_was(tmp_path: Path, level: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(LOGGER, "level", level)
    handlers = list(LOGGER.handlers)
    with pytest.raises(KeyError), loggers_in(tmp_path):
        assert LOGGER.getEffectiveLevel() <= logging.INFO
        raise KeyError
    assert (LOGGER.handlers, LOGGER.level) == (handlers, level)


def test_numbers_and_pictures_go_to_every_tracker(tmp_path: Path):
    recorders = {name: Recorder(TrackedRun(workdir=tmp_path, step=0, config={})) for name in ("first", "second")}
    with loggers_in(tmp_path, **recorders) as loggers:
        loggers.write("train", 1, {"loss": 0.5})
        loggers.write_timing(1, TIMING)
        loggers.show(1, {"erf": tmp_path / "a.png"})
    for recorder in recorders.values():
        (first, speed) = recorder.numbers
        assert first == (1, {"train/loss": 0.5})
        assert speed == (1, {f"speed/{name}": value for name, value in TIMING.numbers().items()})
        assert recorder.pictures == [(1, "erf", tmp_path / "a.png")]
        assert recorder.is_closed


def test_another_process_than_the_first_writes_messages_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "index", lambda: 2)
    with loggers_in(tmp_path, service=Recorder(TrackedRun(workdir=tmp_path, step=0, config={}))) as loggers:
        loggers.write("train", 1, {"loss": 0.5})
        loggers.write_timing(1, TIMING)
        loggers.show(1, {"erf": tmp_path / "a.png"})
        loggers.sync()
        logging.getLogger("gauss_vit.train.loop").info("hello")
    assert [path.name for path in tmp_path.iterdir()] == ["train.2.log"]
