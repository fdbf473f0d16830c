"""`train`: the layout of a workdir, doing nothing twice, refusing early, and the proof that the bias is live."""

import dataclasses
import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from gauss_vit import experiment as experiments
from gauss_vit import main as program
from gauss_vit.assembly import feeds
from gauss_vit.commands import train
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.position.position import with_terms, without_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.train.bias_effect import TermEffect
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import Schedule, Warmup
from gauss_vit.train.program import fresh_state, make_program
from tests.tiny_config import FLAG as CONFIG
from tests.tiny_config import NUM_OBSERVED, OBSERVED, get_config


def contents(folder: Path) -> dict[str, int]:
    """Every file with the time of its last change."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_workdir_holds_what_is_promised(workdir: Path, data_flag: str):
    names = {path.name for path in workdir.iterdir()}
    assert {"config.json", "env.json", "train.log", "metrics.jsonl", "metrics.csv", "checkpoints"} <= names
    assert {path.name for path in (workdir / "checkpoints").iterdir()} >= {"2", "4"}
    suffixes = {path.suffix for path in (workdir / "erf").glob("step_0000004*")}
    assert suffixes == {".npz", ".json", ".png", ".pdf"}
    assert list((workdir / "position").glob("step_0000004*.json"))
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert [json.loads(line)["step"] for line in (workdir / "timing.jsonl").read_text().splitlines()] == [2, 4, 4]
    log = (workdir / "train.log").read_text()
    assert "erf/step_0000004.npz" in log
    assert "position/step_0000004_position.npz" in log
    stored = experiments.read(workdir / "config.json")
    data = dataclasses.replace(get_config().data, data_dir=data_flag.partition("=")[2])
    training = dataclasses.replace(get_config().training, observe_images=NUM_OBSERVED)
    assert stored == dataclasses.replace(get_config(), data=data, training=training)


def test_metrics_are_one_json_object_a_line_with_exact_counts(workdir: Path):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    evaluated = [line for line in lines if "num_examples" in json.dumps(line) and line["step"] == 4]
    assert any("50" in json.dumps(line) for line in evaluated)


def test_finished_run_is_left_as_it_is(workdir: Path, data_flag: str, capsys: pytest.CaptureFixture[str]):
    before = contents(workdir)
    assert program.main([CONFIG, OBSERVED, data_flag, f"--workdir={workdir}"]) == 0
    assert "already finished at step 4; nothing to do" in capsys.readouterr().err
    assert contents(workdir) == before


def test_other_experiment_in_the_workdir_is_refused(workdir: Path, data_flag: str, capsys: pytest.CaptureFixture[str]):
    before = contents(workdir)
    assert program.main([CONFIG, data_flag, f"--workdir={workdir}", "--config.optimizer.learning_rate=0.5"]) == 2
    assert "optimizer.learning_rate: 0.001 -> 0.5" in capsys.readouterr().err
    assert contents(workdir) == before


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["--config.training.batch_size=12"], "training.batch_size 12 is not divisible by the number of devices 8"),
        (["--config.training.eval_batch_size=33"], "training.eval_batch_size 33 is not divisible"),
        (["--config.mesh.fsdp=3"], "fsdp 3 does not divide the number of devices 8"),
        (["--config.optimizer.schedule.warmup.steps=9"], "warmup.steps 9"),
        (["--config.optimizer.no_decay=nothing"], "'nothing' matches no parameter"),
        (["--config.task.head.num_classes=7"], "task.head.num_classes is 7, but digits has 10 classes"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(
    tmp_path: Path, data_flag: str, capsys: pytest.CaptureFixture[str], overrides: list, expected: str
):
    assert program.main([CONFIG, data_flag, f"--workdir={tmp_path}/run", *overrides]) == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run" / "config.json").exists()


def test_missing_data_set_is_named_with_status_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = [CONFIG, f"--workdir={tmp_path}/run", "--config.data.name=none", f"--config.data.data_dir={tmp_path}"]
    assert program.main(arguments) == 3
    assert "error[DATA-TFDS]" in capsys.readouterr().err.splitlines()[-1]


def test_workdir_that_is_a_file_has_status_8(tmp_path: Path, data_flag: str, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "file"
    path.write_text("")
    assert program.main([CONFIG, data_flag, f"--workdir={path}"]) == 8
    assert "error[WORKDIR]" in capsys.readouterr().err.splitlines()[-1]


def test_dead_bias_is_refused(data_flag: str):
    shown = _with_data(data_flag)
    dead = dataclasses.replace(shown, model=with_terms(shown.model, Gaussian(amplitude=1e-12)))
    with pytest.raises(ConfigError, match="without effect: gaussian in block 0, gaussian in block 1"):
        check_bias(dead)


def test_live_bias_is_counted_block_by_block(data_flag: str):
    shown = _with_data(data_flag)
    effects = check_bias(shown)
    assert train.summary(effects) == "position bias live: gaussian in 2 of 2 blocks"


def test_a_bias_that_layer_scale_hides_is_live_and_said(data_flag: str, caplog: pytest.LogCaptureFixture):
    shown = _with_data(data_flag)
    caplog.set_level("INFO")
    effects = check_bias(dataclasses.replace(shown, model=dataclasses.replace(shown.model, layer_scale=1e-6)))
    assert all(effect.is_live for effect in effects)
    assert "LayerScale hides the position bias: gains of 1e-06" in caplog.text


def test_images_of_one_colour_are_blamed_and_not_the_bias(data_flag: str):
    black = np.zeros((16, 16, 32, 3), np.uint8)
    with pytest.raises(DataError, match="the first training images have no signal") as caught:
        check_bias(_with_data(data_flag), images=black)
    assert (caught.value.code, caught.value.exit_status) == ("NO-SIGNAL", 3)


def test_images_of_one_colour_are_passed_over_where_there_are_others(data_flag: str):
    images = np.zeros((16, 16, 32, 3), np.uint8)
    images[10:12] = np.random.default_rng(0).integers(256, size=(2, 16, 32, 3))
    assert all(effect.is_live for effect in check_bias(_with_data(data_flag), images=images))


def test_model_without_bias_has_no_effects(data_flag: str):
    shown = _with_data(data_flag)
    plain = dataclasses.replace(shown, model=without_terms(shown.model, Gaussian))
    assert check_bias(plain) == ()


def test_summary_counts_only_live_terms():
    effects = [
        TermEffect(layer=layer, term="gaussian", change=0.1, gradient=gradient, is_zero=False)
        for layer, gradient in enumerate((1.0, 0.0, 2.0))
    ]
    assert train.summary(effects) == "position bias live: gaussian in 2 of 3 blocks"


def test_run_that_fits_passes_the_checks():
    make_program(dataclasses.replace(get_config(), mesh=MeshConfig(fsdp=4)))


def test_schedule_longer_than_the_run_is_refused():
    optimizer = dataclasses.replace(get_config().optimizer, schedule=Schedule(warmup=Warmup(steps=4)))
    with pytest.raises(ConfigError, match=r"warmup\.steps 4"):
        make_program(dataclasses.replace(get_config(), optimizer=optimizer))


def test_single_process_opens_no_sockets(
    tmp_path: Path, data_flag: str, monkeypatch: pytest.MonkeyPatch, workdir: Path
):
    del workdir

    def refuse(*arguments: object) -> None:
        raise AssertionError("a socket is opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    flags = [
        "--config.training.num_steps=2",
        "--config.training.checkpoint_every=2",
        "--config.model.position.terms=()",
    ]
    assert program.main([CONFIG, data_flag, f"--workdir={tmp_path}/run", *flags]) == 0


def _with_data(data_flag: str):
    data = dataclasses.replace(get_config().data, data_dir=data_flag.partition("=")[2])
    return dataclasses.replace(get_config(), data=data)


def check_bias(experiment, *, images: np.ndarray | None = None) -> tuple[TermEffect, ...]:
    """Checks the start of a fresh run, on its own or on other images."""
    built = make_program(experiment)
    batch = next(iter(feeds.feed(experiment, feeds.open_sources(experiment)).train(0)))
    batch = batch if images is None else dataclasses.replace(batch, image=images)
    return train.check_bias(experiment, built, fresh_state(experiment, built).params, batch)


def test_run_of_an_earlier_version_is_resumed(workdir: Path, tmp_path: Path, data_flag: str):
    old = tmp_path / "old"
    shutil.copytree(workdir, old)
    config = json.loads((old / "config.json").read_text())
    for section, names in {
        "training": ("accumulate", "ema_decay"),
        "task": ("mixing", "erasing", "objective"),
        "optimizer": ("learning_rate_scale",),
    }.items():
        for name in names:
            del config[section][name]
    (old / "config.json").write_text(json.dumps(config))
    assert program.main([CONFIG, data_flag, f"--workdir={old}", "--config.training.num_steps=5"]) == 0
    assert (old / "checkpoints" / "5").is_dir()
    assert json.loads((old / "config.json").read_text())["training"]["accumulate"] == 1
