"""`evaluate`: one JSON object on the last line, with the numbers that training itself reported."""

import csv
import dataclasses
import json
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

from gauss_vit import main as program
from gauss_vit.assembly import named_model
from gauss_vit.batches import ClassTargets
from gauss_vit.commands import evaluate
from gauss_vit.data.examples import Example
from gauss_vit.data.sources.digits import DigitsSource
from gauss_vit.errors import StorageError
from tests.command_lines import unread
from tests.drawing import undrawn
from tests.tiny_config import ONE_DEVICE


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    with undrawn():
        return evaluated_and_drawn(capsys, *arguments)


def evaluated_and_drawn(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert program.main(["evaluate", *arguments]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def reported(workdir: Path) -> dict:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["split"] == "eval"][-1]


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


@pytest.mark.parametrize(("flags", "name"), [([], "evaluation.json"), (["--image_sizes=16,24"], "resolutions.json")])
def test_files_are_written_whoever_reads_the_output(workdir: Path, monkeypatch: pytest.MonkeyPatch, flags, name: str):
    (workdir / name).unlink(missing_ok=True)
    monkeypatch.setattr(evaluate, "say", unread)
    with undrawn():
        assert program.main(["evaluate", f"--workdir={workdir}", *flags]) == 0
    written = json.loads((workdir / name).read_text())
    assert [row["num_examples"] for row in written.get("resolutions", [written])] == [50] * (1 + bool(flags))


def test_result_is_on_standard_output_if_it_cannot_be_written(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(folder: Path, evaluated: evaluate.Evaluation) -> NoReturn:
        raise StorageError(f"cannot write {folder}: {evaluated.result['step']}")

    monkeypatch.setattr(evaluate, "_write_report", full)
    assert program.main(["evaluate", f"--workdir={workdir}"]) == StorageError.exit_status
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["num_examples"] == 50


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
    assert f"{tmp_path} does not contain a run" in capsys.readouterr().err


def test_class_of_every_image_is_written(workdir: Path, capsys: pytest.CaptureFixture[str]):
    result = evaluated(capsys, f"--workdir={workdir}")
    with np.load(workdir / "predictions.npz") as found:
        assert (found["label"] == found["predicted"]).mean() == result["top1"]
        assert len(found["label"]) == 50


def test_confusion_is_written_by_class(workdir: Path, capsys: pytest.CaptureFixture[str]):
    result = evaluated_and_drawn(capsys, f"--workdir={workdir}")
    with np.load(workdir / "confusion.npz") as tables:
        counts, accuracy = tables["counts"], tables["accuracy"]
    assert counts.shape == (10, 10) and counts.sum() == 50
    assert np.trace(counts) == result["top1"] * 50
    assert result["class_mean_top1"] == pytest.approx(np.nanmean(accuracy))
    heading, *matrix = csv.reader((workdir / "confusion.csv").read_text().splitlines())
    assert heading[1:] == [row[0] for row in matrix] == list("0123456789")
    assert [[int(cell) for cell in row[1:]] for row in matrix] == counts.tolist()
    rows = list(csv.DictReader((workdir / "classes.csv").read_text().splitlines()))
    assert [int(row["num_examples"]) for row in rows] == counts.sum(axis=1).tolist()
    assert [int(row["num_correct"]) for row in rows] == np.diag(counts).tolist()
    pairs = list(csv.DictReader((workdir / "confused_pairs.csv").read_text().splitlines()))
    assert all(int(pair["count"]) == counts[int(pair["class"]), int(pair["predicted"])] for pair in pairs)
    assert sum(int(pair["count"]) for pair in pairs) == 50 - np.trace(counts)
    with Image.open(workdir / "confusion.png") as picture:
        assert min(picture.size) > 600


def test_table_counts_what_the_result_says(workdir: Path, capsys: pytest.CaptureFixture[str]):
    assert program.main(["evaluate", f"--workdir={workdir}"]) == 0
    title, heading, top1, *_, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert title == "digits test[:50], step 4" and heading.split() == ["correct", "images", "share"]
    assert top1.split() == ["top-1", str(round(result["top1"] * 50)), "50", f"{100 * result['top1']:.1f}", "%"]


def test_average_of_a_run_without_one_is_refused(workdir: Path, capsys: pytest.CaptureFixture[str]):
    assert program.main(["evaluate", f"--workdir={workdir}", "--ema"]) == 2
    assert "the run keeps no moving average" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("subset", "message"), [("imagenet_a", "200 of ImageNet"), ("imagenet_b", "unknown subset")])
def test_subset_that_does_not_fit_is_refused(
    workdir: Path, capsys: pytest.CaptureFixture[str], subset: str, message: str
):
    assert program.main(["evaluate", f"--workdir={workdir}", f"--subset={subset}"]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_accepted_classes_come_from_the_examples(workdir: Path, monkeypatch: pytest.MonkeyPatch):
    experiment = named_model.run_experiment(workdir)
    plain = evaluate.evaluate_run(workdir, experiment)

    def with_accepted(source: DigitsSource, index: int) -> Example:
        example = get(source, index)
        accepted = (np.arange(source.num_classes) == example.targets.label) & (index % 5 > 0)
        return dataclasses.replace(example, targets=dataclasses.replace(example.targets, accepted=accepted))

    get = DigitsSource.__getitem__
    padding = ClassTargets(label=np.int32(0), accepted=np.zeros(10, np.bool_))
    monkeypatch.setattr(DigitsSource, "__getitem__", with_accepted)
    monkeypatch.setattr(DigitsSource, "padding_targets", padding)
    result = evaluate.evaluate_run(workdir, experiment).result
    assert result["num_real_examples"] == 40
    assert result["top1"] == plain.result["top1"]
    assert abs(result["real_top1"] * 40 - plain.result["top1"] * 50) <= 10


def test_best_checkpoint_is_measured_instead_of_the_newest(
    tmp_path: Path, data_flag: str, capsys: pytest.CaptureFixture[str]
):
    flags = [
        "--config.training.best.metric=eval/num_examples",
        "--config.training.best.mode=max",
        "--config.evaluators[0].every=2",
    ]
    assert program.main(["--config=tests/tiny_config.py", data_flag, f"--workdir={tmp_path}", ONE_DEVICE, *flags]) == 0
    # All have as many examples: the earlier of equal ones is the best.
    assert evaluated(capsys, f"--workdir={tmp_path}", "--best")["step"] == 2
    assert evaluated(capsys, f"--workdir={tmp_path}")["step"] == 4


def test_best_of_a_run_that_ranks_nothing_has_status_4(workdir: Path, capsys: pytest.CaptureFixture[str]):
    assert program.main(["evaluate", f"--workdir={workdir}", "--best"]) == 4
    assert "error[CKPT-MISSING]" in capsys.readouterr().err.splitlines()[-1]


ALL_ON = (
    "--config.task.mixing.mixup=0.2",
    "--config.task.mixing.cutmix=1.0",
    "--config.task.erasing.probability=0.25",
    "--config.training.ema_decay=0.9",
    "--config.training.accumulate=2",
    "--config.optimizer.learning_rate_scale.layer_decay=0.75",
)


def test_recipe_of_mixing_averaging_and_layer_decay_trains_and_is_evaluated(
    tmp_path: Path, data_flag: str, capsys: pytest.CaptureFixture[str]
):
    assert program.main(["--config=tests/tiny_config.py", data_flag, f"--workdir={tmp_path}", ONE_DEVICE, *ALL_ON]) == 0
    reported_last = reported(tmp_path)
    plain, averaged = evaluated(capsys, f"--workdir={tmp_path}"), evaluated(capsys, f"--workdir={tmp_path}", "--ema")
    assert averaged["weights"] == "ema"
    assert plain["loss"] == pytest.approx(reported_last["loss"], rel=1e-6)
    assert averaged["loss"] == pytest.approx(reported_last["ema_loss"], rel=1e-6)
    assert averaged["loss"] != plain["loss"]
