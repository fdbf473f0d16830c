"""A run of several processes is the run of one: its losses, evaluations, observations, files and resumes."""

import functools
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.train.checkpoint.reader import read_record, saved_steps
from tests import tiny_config
from tests.processes import Ended, free_port, program, run, simulated, started

DEVICES = 4
ROUNDING = 1e-5
CONFIG = (tiny_config.FLAG, "--config.training.num_steps=8", "--config.evaluators.0.every=4")


def train(workdir: Path, *more: str, count: int, config: Sequence[str] = CONFIG) -> list[Ended]:
    return run(["train", *config, *more, f"--workdir={workdir}"], workdir / "said", count=count, devices=DEVICES)


def lines(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def words(workdir: Path, step: int) -> dict[str, int]:
    return {path: leaf.fingerprint for path, leaf in read_record(workdir, step).leaves.items()}


def require_equal(found: Sequence[dict], expected: Sequence[dict], *, tolerance: float = ROUNDING) -> None:
    assert [(line["step"], line["split"]) for line in found] == [(line["step"], line["split"]) for line in expected]
    for line, other in zip(found, expected, strict=True):
        assert line.keys() == other.keys()
        numbers = [name for name in line if name not in ("step", "split")]
        np.testing.assert_allclose(
            [line[name] for name in numbers], [other[name] for name in numbers], rtol=tolerance, atol=tolerance
        )


@functools.cache
def trained(folder: Path, count: int) -> Path:
    """The workdir of a run that was observed and left alone."""
    workdir = folder / f"{count}"
    for ended in train(workdir, tiny_config.OBSERVED, "--config.training.observe_every=8", count=count):
        assert ended.status == 0, ended.err
    return workdir


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_two_processes_train_as_one(workdir: Path, data_flag: str, tmp_path: Path):
    """The test of the default tier, beside a run of this process with as many devices."""
    command = ["train", tiny_config.FLAG, data_flag, f"--workdir={tmp_path / 'W'}"]
    for ended in run(command, tmp_path / "said", count=2, devices=8):
        assert ended.status == 0, ended.err
    require_equal(lines(tmp_path / "W"), [line for line in lines(workdir) if line["split"] != "observe"])
    assert {"train.log", "train.1.log"} <= {path.name for path in (tmp_path / "W").iterdir()}


@pytest.mark.full
def test_processes_that_see_different_folders_are_told(tmp_path: Path):
    commands = program(["train", *CONFIG], count=2)
    commands = [[*command, f"--workdir={tmp_path}/{index}"] for index, command in enumerate(commands)]
    with started(commands, tmp_path / "said", environment=simulated(DEVICES // 2)) as running:
        for ended in running.wait():
            assert ended.status == 2
            assert "error[WORKDIR-SHARED]" in ended.err
            assert f"{tmp_path}/1 on " in ended.err
    assert not [path for path in (tmp_path / "0").iterdir() if path.name.startswith(".shared")]


@pytest.mark.full
@pytest.mark.parametrize("count", [2, 4])
def test_losses_evaluations_and_observations_are_those_of_one_process(folder: Path, count: int):
    found, expected = lines(trained(folder, count)), lines(trained(folder, 1))
    is_observed = [line["split"] == "observe" for line in expected]
    assert any(is_observed)
    measured, others = [line for line in found if line["split"] != "observe"], expected
    require_equal(measured, [line for line in others if line["split"] != "observe"])
    # A receptive field is a sum of squared gradients, and its fit amplifies differences of rounding.
    observed = [[line for line in side if line["split"] == "observe"] for side in (found, expected)]
    require_equal(*observed, tolerance=1e-4)
    more = files(trained(folder, count)) - files(trained(folder, 1))
    assert more == {f"train.{index}.log" for index in range(1, count)}


def files(workdir: Path) -> set[str]:
    """The files of a workdir whose names say what is in them: not those of orbax, nor what these tests add."""
    found = (path.relative_to(workdir) for path in workdir.rglob("*") if path.is_file())
    return {str(path) for path in found if path.parts[0] not in ("checkpoints", "said") and "tfevents" not in path.name}


@pytest.mark.full
@pytest.mark.parametrize("count", [2, 4])
def test_a_killed_run_resumes_with_the_same_bits(folder: Path, tmp_path: Path, count: int):
    killed(tmp_path / "W", count=count)
    for ended in train(tmp_path / "W", tiny_config.OBSERVED, "--config.training.observe_every=8", count=count):
        assert ended.status == 0, ended.err
    assert lines(tmp_path / "W") == lines(trained(folder, count))
    assert words(tmp_path / "W", 8) == words(trained(folder, count), 8)


@pytest.mark.full
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_resumes_on_another_number_of_processes(folder: Path, tmp_path: Path, before: int, after: int):
    killed(tmp_path / "W", count=before)
    first, *_ = train(tmp_path / "W", count=after)
    assert first.status == 0, first.err
    assert "(verified)" in first.err
    measured = [line for line in lines(trained(folder, 1)) if line["split"] != "observe"]
    require_equal(lines(tmp_path / "W"), measured)


def killed(workdir: Path, *, count: int) -> None:
    """Trains until the checkpoint of step 4 is on disk, and kills all processes."""
    command = ["train", *CONFIG, f"--workdir={workdir}"]
    commands = program(command, count=count) if count > 1 else [[*program(command, count=1)[0][:-1]]]
    with started(commands, workdir / "killed", environment=simulated(DEVICES // count)) as running:
        running.wait_until_said(0, "saved checkpoint 4\n")
        for index in range(count):
            running.signal(index, signal.SIGKILL)
        running.wait()
    assert max(saved_steps(workdir)) >= 4


@pytest.mark.full
@pytest.mark.parametrize("count", [2, 4])
def test_evaluations_are_exact_for_every_number_of_examples(tmp_path: Path, count: int):
    tables = []
    for processes in (1, count):
        address = f"127.0.0.1:{free_port()}"
        choices = ["off"] if processes == 1 else [f"{address},{processes},{index}" for index in range(processes)]
        commands = [[sys.executable, "-m", "tests.distributed.evaluations", choice, "50"] for choice in choices]
        with started(commands, tmp_path / f"{processes}", environment=simulated(DEVICES // processes)) as running:
            ended = running.wait()
        assert [each.status for each in ended] == [0] * processes, ended[0].err
        said = [json.loads(each.out.splitlines()[-1]) for each in ended]
        assert all(each == said[0] for each in said)
        assert said[0]["devices"] == DEVICES
        tables.append(said[0]["rows"])
    alone, together = tables
    assert alone[0] == together[0] == "DATA-EMPTY"
    for size, (row, other) in enumerate(zip(alone[1:], together[1:], strict=True), start=1):
        assert row["num_examples"] == other["num_examples"] == size
        assert (row["top1"], row["top5"]) == (other["top1"], other["top5"])
        assert row["loss"] == pytest.approx(other["loss"], rel=ROUNDING)


@pytest.mark.full
@pytest.mark.parametrize("verb", ["evaluate", "probe", "erf", "report", "predict", "position"])
def test_other_verbs_say_and_write_what_one_process_does(folder: Path, tmp_path: Path, verb: str, photos: Path):
    workdir = trained(folder, 1)
    results = []
    for count in (1, 2):
        out = tmp_path / f"{count}"
        more = {
            "evaluate": [],
            "probe": [],
            "erf": [f"--images={photos}", f"--out={out}", "--format=png"],
            "report": [f"--images={photos}", f"--out={out}/page.html"],
            "predict": [str(photos), "--json"],
            "position": [f"--out={out}", "--format=png"],
        }[verb]
        # As many devices in process 0 as there are in one process: it works alone, but for evaluations.
        devices = DEVICES if verb == "evaluate" else 2 * count
        ended = run([verb, f"--workdir={workdir}", *more], tmp_path / f"said{count}", count=count, devices=devices)
        assert [each.status for each in ended] == [0] * count, ended[0].err
        assert [each.out for each in ended[1:]] == [""] * (count - 1)
        results.append((ended[0].out.replace(str(out), ""), contents(out)))
    (said, files), (said_together, files_together) = results
    assert files.keys() == files_together.keys()
    assert files == files_together
    assert said == said_together


def contents(out: Path) -> dict[str, bytes]:
    """The numbers that were written: not the pictures, whose metadata may differ."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.json"))}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of noise."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for index in range(4):
        Image.fromarray(generator.integers(0, 256, (20, 40, 3), np.uint8)).save(folder / f"{index}.png")
    return folder
