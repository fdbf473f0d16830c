"""Services are named on the command line, and opened with the run and their project."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from gauss_vit import main as program
from gauss_vit.errors import ConfigError
from gauss_vit.train.tracking import services
from gauss_vit.train.tracking.tracker import TrackedRun
from tests.train.tracking.recorder import Recorder

RUN = TrackedRun(workdir=Path("runs/digits"), step=0, config={})


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[TrackedRun, str]]:
    """Puts a fake in the place of W&B's tracker; gives the runs and projects that it was opened with."""
    calls: list[tuple[TrackedRun, str]] = []

    def fake(run: TrackedRun, *, project: str) -> Recorder:
        calls.append((run, project))
        if project == "secret":
            raise RuntimeError("No API key configured\nmore")
        return Recorder(run)

    module = ModuleType("fake")
    module.ServiceTracker = fake
    monkeypatch.setitem(sys.modules, "gauss_vit.train.tracking.wandb_tracker", module)
    return calls


@pytest.mark.parametrize(("text", "project"), [("wandb", "gauss_vit"), ("wandb:digits", "digits")])
def test_service_is_opened_with_its_project(opened, text: str, project: str):
    (open_tracker,) = services.trackers(text).values()
    assert opened == []
    assert isinstance(open_tracker(RUN), Recorder)
    assert opened == [(RUN, project)]


def test_refusal_is_an_error_with_its_first_line(opened):
    (open_tracker,) = services.trackers("wandb:secret").values()
    with pytest.raises(ConfigError, match=r"^wandb cannot be opened: No API key configured DO: .*leave wandb out"):
        open_tracker(RUN)


def test_library_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delitem(sys.modules, "gauss_vit.train.tracking.mlflow_tracker", raising=False)
    with pytest.raises(ConfigError, match=r"--track=mlflow needs mlflow DO: pip install 'gauss_vit\[mlflow\]'"):
        services.trackers("mlflow")


def test_unknown_service_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--config=tests/tiny_config.py", f"--workdir={tmp_path / 'w'}", "--track=wandbb"]
    assert program.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "unknown service 'wandbb'" in line and "wandb, mlflow, trackio" in line
    assert not (tmp_path / "w").exists()


def test_smoke_test_is_not_tracked(capsys: pytest.CaptureFixture[str]):
    assert program.main(["--config=tests/tiny_config.py", "--smoke", "--track=wandb"]) == 2
    assert "leave out --track" in capsys.readouterr().err
