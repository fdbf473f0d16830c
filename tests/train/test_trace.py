"""Traces hold the steps that were asked for, and a trace that fails costs nothing but itself."""

import dataclasses
import logging
from pathlib import Path

import jax
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.train import trace
from gauss_vit.train.loop import fit
from gauss_vit.train.trace import TraceSteps
from tests.train.bits import trace_of
from tests.train.incidents import interrupted_at
from tests.train.toy import run_in


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


@pytest.fixture(scope="module")
def untraced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a run that is not traced."""
    workdir = tmp_path_factory.mktemp("untraced")
    fit(run_in(workdir))
    return workdir


def steps_in(file: Path) -> list[int]:
    """The steps that a file of the profiler marks."""
    events = (
        event
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes
        for line in plane.lines
        for event in line.events
        if event.name == "train"
    )
    return sorted(int(dict(event.stats)["step_num"]) for event in events)


def test_chosen_steps_are_traced_and_change_no_bit(tmp_path: Path, untraced: Path, logs: pytest.LogCaptureFixture):
    # A step of a report, and one of an evaluation, are among them.
    fit(dataclasses.replace(run_in(tmp_path), trace=TraceSteps(first=4, last=6)))
    (file,) = tmp_path.rglob("*.xplane.pb")
    assert file.parent == tmp_path / "plugins" / "profile" / "steps_4_6"
    assert steps_in(file) == [4, 5, 6]
    assert file.stat().st_size < 1e7
    assert sum(message.startswith(f"traced in {file.parent}") for message in logs.messages) == 1
    assert trace_of(tmp_path) == trace_of(untraced)


def test_run_that_is_stopped_writes_what_it_has_traced_and_is_traced_again(tmp_path: Path):
    run = dataclasses.replace(run_in(tmp_path), trace=TraceSteps(first=3, last=8))
    with pytest.raises(SystemExit):
        fit(interrupted_at(run, 5))
    (file,) = tmp_path.rglob("*.xplane.pb")
    assert steps_in(file) == [3, 4, 5]
    fit(run)
    (file,) = tmp_path.rglob("*.xplane.pb")
    assert steps_in(file) == [6, 7, 8]


def test_steps_that_were_made_before_are_said(tmp_path: Path, logs: pytest.LogCaptureFixture):
    with pytest.raises(SystemExit):
        fit(interrupted_at(run_in(tmp_path), 5))
    fit(dataclasses.replace(run_in(tmp_path), trace=TraceSteps(first=1, last=5)))
    assert "steps 1 to 5 were made before: nothing is traced" in logs.messages
    assert not (tmp_path / "plugins").exists()


def refused_start(*arguments: object, **options: object) -> None:
    raise RuntimeError("Profile has already been started.\nOnly one may be run at a time.")


def test_profiler_that_fails_is_a_warning(
    tmp_path: Path, untraced: Path, logs: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trace.jax.profiler, "start_trace", refused_start)
    fit(dataclasses.replace(run_in(tmp_path), trace=TraceSteps(first=4, last=6)))
    assert logs.messages.count("no trace: Profile has already been started.; training goes on") == 1
    assert trace_of(tmp_path) == trace_of(untraced)


def test_profiler_that_writes_nothing_is_a_warning(
    tmp_path: Path, untraced: Path, logs: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trace.jax.profiler, "start_trace", lambda *_, **__: None)
    monkeypatch.setattr(trace.jax.profiler, "stop_trace", lambda: None)
    fit(dataclasses.replace(run_in(tmp_path), trace=TraceSteps(first=4, last=6)))
    assert any(message.startswith("no trace: the profiler wrote nothing") for message in logs.messages)
    assert trace_of(tmp_path) == trace_of(untraced)


@pytest.mark.parametrize("link", ["plugins", "plugins/profile", "plugins/profile/steps_4_6"])
def test_nothing_is_written_or_removed_through_a_link(tmp_path: Path, logs: pytest.LogCaptureFixture, link: str):
    elsewhere, workdir = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (workdir / link).parent.mkdir(parents=True)
    (workdir / link).symlink_to(elsewhere)
    fit(dataclasses.replace(run_in(workdir), trace=TraceSteps(first=4, last=6)))
    assert any("is a link, which is not written through; training goes on" in message for message in logs.messages)
    assert [path.name for path in elsewhere.rglob("*")] == ["kept"]


def test_all_processes_can_be_asked_for():
    assert TraceSteps.parse("3:3:all", num_steps=3) == TraceSteps(first=3, last=3, on_all=True)


@pytest.mark.parametrize("text", ["", "10", "10:", "12:10", "0:3", "-1:3", "10:101", "1:51", "1:2:3", "a:b", "1:2:one"])
def test_other_steps_are_refused(text: str):
    with pytest.raises(ConfigError, match="--trace"):
        TraceSteps.parse(text, num_steps=100)
