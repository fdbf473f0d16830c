"""A tracker that fails is said once and costs a run nothing."""

from pathlib import Path

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.train.tracking.tracker import TolerantTracker, TrackedRun, Tracker, flat, reason
from tests.train.tracking.recorder import Recorder

RUN = TrackedRun(workdir=Path("runs/digits"), step=0, config={})


def test_failure_is_one_warning_and_the_last_call(caplog: pytest.LogCaptureFixture):
    recorder = Recorder(RUN, fails_at=2)
    tracker = TolerantTracker("service", lambda run: recorder, RUN)
    for step in range(5):
        tracker.log(step, {"train/loss": 1.0})
    tracker.close()
    assert recorder.numbers == [(0, {"train/loss": 1.0}), (1, {"train/loss": 1.0})]
    assert not recorder.is_closed
    assert caplog.messages == ["service disabled: no route to host; training goes on"]


def test_calls_reach_the_tracker():
    recorder = Recorder(RUN)
    assert isinstance(recorder, Tracker)
    tracker = TolerantTracker("service", lambda run: recorder, RUN)
    tracker.show(3, "erf", Path("a.png"))
    tracker.close()
    tracker.log(4, {})
    assert (recorder.pictures, recorder.numbers, recorder.is_closed) == ([(3, "erf", Path("a.png"))], [], True)


def test_storage_that_fails_at_once_is_a_warning(caplog: pytest.LogCaptureFixture):
    def fail(run: TrackedRun) -> Tracker:
        raise OSError(28, "No space left on device")

    TolerantTracker("service", fail, RUN).log(1, {})
    assert caplog.messages == ["service disabled: No space left on device; training goes on"]


def test_refusal_to_open_is_an_error():
    def refuse(run: TrackedRun) -> Tracker:
        raise ConfigError("no login")

    with pytest.raises(ConfigError, match="no login"):
        TolerantTracker("service", refuse, RUN)


def test_run_is_named_by_its_folder():
    assert RUN.name == "digits"


def test_values_of_a_config_have_dotted_keys():
    config = {"data": {"mean": [0.5, 0.5], "cache": False}, "evaluators": [{"every": 10}], "start": None, "sizes": []}
    assert flat(config) == {
        "data.mean": "[0.5, 0.5]",
        "data.cache": False,
        "evaluators.0.every": 10,
        "start": "None",
        "sizes": "[]",
    }


def test_error_without_words_has_its_name():
    assert reason(RuntimeError()) == "RuntimeError"
