"""`probe`: features of a run, judged."""

import json
from pathlib import Path

import pytest

from gauss_vit import main as program
from gauss_vit.commands import probe
from tests.command_lines import unread


def test_result_is_the_last_line_and_is_kept(workdir: Path, capsys: pytest.CaptureFixture[str]):
    flags = ["--config.data.train_split=train[:300]", f"--config={workdir}/config.json"]
    assert program.main(["probe", f"--workdir={workdir}", *flags]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert json.loads((workdir / "probe.json").read_text()) == result
    assert (result["num_examples"], result["num_known"], result["num_shots"]) == (50, 300, 10)
    for name in ("neighbours_top1", "linear_top1"):
        assert result[name] * 50 == pytest.approx(round(result[name] * 50))
        # Even random features of digits tell more than chance, which is 0.1.
        assert result[name] > 0.2


def test_result_is_kept_whoever_reads_the_output(workdir: Path, monkeypatch: pytest.MonkeyPatch):
    (workdir / "probe.json").unlink(missing_ok=True)
    monkeypatch.setattr(probe, "probe_run", lambda *_, **__: {"linear_top1": 0.5})
    monkeypatch.setattr(probe, "say", unread)
    assert program.main(["probe", f"--workdir={workdir}"]) == 0
    assert json.loads((workdir / "probe.json").read_text()) == {"linear_top1": 0.5}


def test_average_of_a_run_without_one_is_refused(workdir: Path, capsys: pytest.CaptureFixture[str]):
    assert program.main(["probe", f"--workdir={workdir}", "--ema"]) == 2
    assert "keeps no moving average" in capsys.readouterr().err.splitlines()[-1]


def test_best_of_a_run_that_ranks_nothing_has_status_4(workdir: Path, capsys: pytest.CaptureFixture[str]):
    assert program.main(["probe", f"--workdir={workdir}", "--best"]) == 4
    assert "error[CKPT-MISSING]" in capsys.readouterr().err.splitlines()[-1]
