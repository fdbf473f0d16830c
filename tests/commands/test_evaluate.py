"""`evaluate`: one JSON object on the last line, with the numbers that training itself reported."""

import json
from pathlib import Path

import pytest

from gauss_vit import main as program


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert program.main(["evaluate", *arguments]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def reported(workdir: Path) -> dict:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return lines[-1]


def test_last_line_is_the_result_and_is_kept_in_the_workdir(workdir: Path, capsys: pytest.CaptureFixture[str]):
    result = evaluated(capsys, f"--workdir={workdir}")
    assert {name: result[name] for name in ("step", "data", "split", "num_examples")} == {
        "step": 4,
        "data": "digits",
        "split": "test[:50]",
        "num_examples": 50,
    }
    assert json.loads((workdir / "evaluation.json").read_text()) == result
    for name in ("top1", "top5"):
        assert result[name] * 50 == pytest.approx(round(result[name] * 50))


def test_numbers_are_those_of_the_training_run(workdir: Path, capsys: pytest.CaptureFixture[str]):
    result = evaluated(capsys, f"--workdir={workdir}")
    values = json.dumps(reported(workdir))
    assert f'"top1": {result["top1"]}' in values


def test_batch_size_and_threads_change_nothing(workdir: Path, capsys: pytest.CaptureFixture[str]):
    flags = [f"--config={workdir}/config.json", "--config.training.eval_batch_size=7", "--config.data.num_threads=0"]
    first, second = (evaluated(capsys, f"--workdir={workdir}", *extra) for extra in ([], flags))
    assert first["num_examples"] == second["num_examples"]
    assert (first["top1"], first["top5"]) == (second["top1"], second["top5"])
    # Other batches sum in another order.
    assert first["loss"] == pytest.approx(second["loss"], rel=1e-6)


def test_other_split_can_be_asked_for(workdir: Path, capsys: pytest.CaptureFixture[str]):
    flags = [f"--config={workdir}/config.json", "--config.data.eval_split=train[:9]"]
    result = evaluated(capsys, f"--workdir={workdir}", *flags)
    assert (result["split"], result["num_examples"]) == ("train[:9]", 9)


def test_other_model_is_refused_with_status_4(workdir: Path, capsys: pytest.CaptureFixture[str]):
    flags = [f"--workdir={workdir}", f"--config={workdir}/config.json", "--config.model.width=32"]
    assert program.main(["evaluate", *flags]) == 4
    assert "error[CKPT-SHAPE]" in capsys.readouterr().err.splitlines()[-1]


def test_run_without_checkpoint_has_status_4(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "config.json").write_text((workdir / "config.json").read_text())
    assert program.main(["evaluate", f"--workdir={tmp_path}"]) == 4
    assert "error[CKPT-MISSING]" in capsys.readouterr().err.splitlines()[-1]


def test_folder_without_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert program.main(["evaluate", f"--workdir={tmp_path}"]) == 2
    assert f"{tmp_path} holds no run" in capsys.readouterr().err
