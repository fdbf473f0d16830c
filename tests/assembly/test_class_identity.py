"""A run is measured on data with its classes, found by name: with exact counts, or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gauss_vit import main as program
from gauss_vit.data.sources.digits import DigitsDataSet
from tests.data.sources.folder_samples import make_folder
from tests.drawing import undrawn

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digits_folder(root: Path, classes: Sequence[str]) -> Path:
    """Writes some classes of the run's evaluation split as a folder of images."""
    source = DigitsDataSet().open("test[:50]")
    for index in range(len(source)):
        example = source[index]
        name = source.class_names[int(example.targets.label)]
        if name in classes:
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / f"{index:02d}.png").write_bytes(example.image)
    return root


def on_folder(verb: str, workdir: Path, root: Path) -> list[str]:
    flags = ("--config.data.name=folder", f"--config.data.data_dir={root}", "--config.data.eval_split=all")
    return [verb, f"--workdir={workdir}", f"--config={workdir}/config.json", *flags]


def counts_of(workdir: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[np.ndarray, str]:
    """The confusion matrix of an evaluation, and what was said on standard error."""
    with undrawn():
        assert program.main([*arguments] or ["evaluate", f"--workdir={workdir}"]) == 0
    with np.load(workdir / "confusion.npz") as tables:
        return tables["counts"], capsys.readouterr().err


def test_another_order_and_some_of_the_classes_keep_exact_counts(
    workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    own, said = counts_of(workdir, capsys)
    assert "warning" not in said
    turned = digits_folder(tmp_path / "turned", "0123456789")
    (turned / "labels.json").write_text(json.dumps(list("9876543210")))
    counts, said = counts_of(workdir, capsys, *on_folder("evaluate", workdir, turned))
    np.testing.assert_array_equal(counts, own)
    assert "warning" not in said
    some = digits_folder(tmp_path / "some", "27")
    counts, said = counts_of(workdir, capsys, *on_folder("evaluate", workdir, some))
    expected = np.where(np.isin(np.arange(10), [2, 7])[:, None], own, 0)
    np.testing.assert_array_equal(counts, expected)
    assert "8 of 10 classes have no images in this data: 0, 1, 3, 4, 5 and 3 more" in said
    result = json.loads((workdir / "evaluation.json").read_text())
    assert result["num_examples"] == expected.sum()
    assert result["top1"] * result["num_examples"] == pytest.approx(np.trace(expected))


def test_other_classes_are_refused_by_name(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    before = (workdir / "config.json").read_bytes()
    root = make_folder(tmp_path, dict.fromkeys(WORDS, 1))
    assert program.main(on_folder("evaluate", workdir, root)) == 3
    said = capsys.readouterr()
    assert f"10 of the 10 classes of folder all in {root} are not among the 10 of the model: eight, five" in said.err
    assert "DO: give data with the classes of the model under the same names" in said.err
    assert not said.out and (workdir / "config.json").read_bytes() == before


def test_a_probe_of_other_classes_says_so(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = make_folder(tmp_path, {"crow": 3, "wren": 3})
    assert program.main([*on_folder("probe", workdir, root), "--config.data.train_split=all", "--neighbours=1"]) == 0
    said = capsys.readouterr()
    assert "judged on other classes than the model was trained on (new classes: crow, wren; missing classes" in said.err
    result = json.loads(said.out.splitlines()[-1])
    assert (result["num_examples"], result["neighbours_top1"]) == (6, 1.0)


def test_an_evaluator_of_other_classes_stops_a_run_before_it_starts(
    workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    root = make_folder(tmp_path / "words", dict.fromkeys(WORDS, 1))
    flags = ("--config.evaluators[0].data=folder", f"--config.evaluators[0].data_dir={root}")
    split = "--config.evaluators[0].split=all"
    run = tmp_path / "run"
    assert program.main([f"--config={workdir}/config.json", f"--workdir={run}", *flags, split]) == 3
    assert "are not among the 10 of the training split" in capsys.readouterr().err
    assert not run.exists()
