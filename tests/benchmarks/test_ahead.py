"""Compiling for an accelerator that is not there; here the devices of this machine stand for one."""

import json
import sys
from importlib import metadata
from pathlib import Path

import jax
import pytest

from benchmarks import ahead, ahead_target, report
from benchmarks.ahead_target import Target, as_on
from benchmarks.traffic import Work
from gauss_vit import experiment as experiments
from gauss_vit.errors import ConfigError
from gauss_vit.kernels import cudnn
from gauss_vit.position.terms.gaussian import Gaussian

CONFIGS = Path(__file__).parents[2] / "configs"
GPU = Target(name="h200", platform="gpu", compiler="plugin 1", devices=())


def run(monkeypatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["ahead", *words])
    ahead.main()


def options_of(monkeypatch, *words: str):
    """What the command line means."""
    found = []
    monkeypatch.setattr(ahead, "measure", found.append)
    run(monkeypatch, "--target=h200", *words)
    return found[0]


@pytest.mark.parametrize(("target", "extra"), [("h200", "cuda"), ("v5e:2x2", "tpu")])
def test_a_missing_plugin_is_named_in_one_line(monkeypatch, target, extra):
    def missing(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, f"--target={target}")
    said = ended.value.code
    assert said.startswith(f"benchmarks.ahead: --target={target} needs ") and "\n" not in said
    assert said.endswith(f"run pip install -e '.[{extra}]'")


def test_a_target_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="--target=h20 is not a target"):
        ahead_target.target_of("h20")


def test_this_process_believes_in_the_target_for_a_while():
    before = jax.devices(), jax.default_backend()
    with as_on(GPU):
        assert (jax.devices(), jax.default_backend(), cudnn.fault(196, 64)) == ((), "gpu", "")
    assert (jax.devices(), jax.default_backend()) == before


def test_auto_is_what_the_target_would_choose_and_nothing_is_compiled_twice(monkeypatch):
    options = options_of(monkeypatch, "--kernels=auto,einsum,cudnn,whole,whole:loop")
    with as_on(GPU):
        found = ahead.variants(options)
    assert list(found) == ["cudnn", "einsum", "whole", "whole in a loop"]
    models = [experiment.model for experiment in found.values()]
    assert [model.compute.kernel for model in models] == ["cudnn", "einsum", "whole", "whole"]
    assert [model.compute.unroll for model in models] == [12, 12, 12, 1]
    assert all(Gaussian() in model.position.terms and model.compute.dtype == "bfloat16" for model in models)


def test_every_config_is_compiled_with_every_kernel_as_its_run_would_be(monkeypatch):
    sources = [f"{CONFIGS}/tiny_imagenet20.py:{bias}" for bias in ("gauss", "none")]
    options = options_of(monkeypatch, *(f"--config={source}" for source in sources), "--kernels=auto,einsum:loop")
    with as_on(GPU):
        found = ahead.variants(options)
    assert list(found) == [
        f"tiny_imagenet20.py:{bias}, {kernel}" for bias in ("gauss", "none") for kernel in ("cudnn", "einsum in a loop")
    ]
    first, *_, last = found.values()
    expected = experiments.load(sources[0])
    assert (first.task, first.optimizer, first.training) == (expected.task, expected.optimizer, expected.training)
    assert [Gaussian() in each.model.position.terms for each in (first, last)] == [True, False]


def test_a_kernel_that_is_none_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="'flash'"):
        ahead.variants(options_of(monkeypatch, "--kernels=auto,flash"))


def test_options_reach_the_model(monkeypatch):
    options = options_of(monkeypatch, "--kernels=whole", "--loop", "--depth=2", "--image_size=96", "--dtype=float32")
    (experiment,) = ahead.variants(options).values()
    config = experiment.model
    assert (config.depth, config.image_size, config.compute.unroll, config.compute.dtype) == (2, (96, 96), 1, "float32")


def step(traffic: int, seconds: float) -> ahead.Compiled:
    return ahead.Compiled(temporary_bytes=1, argument_bytes=2, work=Work(read_bytes=traffic), seconds=seconds)


def test_ratios_are_to_the_first_and_equal_figures_share_a_row():
    steps = {"cudnn": step(4 * 10**9, 1.0), "einsum": step(6 * 10**9, 1.0)}
    (different,) = ahead.compared(ahead.TRAFFIC, steps)
    assert (different.what, different.ours.median, different.peer.median) == ("memory traffic, einsum", 6.0, 4.0)
    assert different.ratio.median == 1.5
    (equal,) = ahead.compared(ahead.COMPILING, steps)
    assert (equal.what, equal.ours.median, equal.ratio) == ("compiling, all 2", 1.0, None)


@pytest.fixture
def two_devices(monkeypatch) -> Target:
    target = Target(name="two", platform="tpu", compiler="plugin 1", devices=jax.devices()[:2])
    monkeypatch.setattr(ahead, "target_of", lambda name: target)
    return target


def test_a_step_is_compiled_for_all_devices_and_told_of(monkeypatch, capsys, tmp_path, two_devices):
    path = tmp_path / "found.json"
    small = ("--depth=1", "--image_size=32", "--batch_size=2", "--kernels=whole")
    run(monkeypatch, "--target=two", *small, f"--out={path}")
    said = capsys.readouterr().out
    assert (
        "compiling whole for two ..." in said
        and "by plugin 1 for two" in said
        and "no time was measured on an accelerator" in said
    )
    assert "batch 2 over 2 devices" in said and ", depth 1," in said
    record = json.loads(path.read_text())
    assert record["steps"]["whole"]["argument_bytes"] > 4 * 3 * 2_000_000, "parameters and two moments of one block"
    assert record["steps"]["whole"]["work"]["kernels"] > 10
    assert "| arguments, whole |" in report.page([record])


def test_a_step_that_the_compiler_refuses_is_left_out(monkeypatch, capsys, two_devices):
    def refuse(experiment):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory\nin detail")

    monkeypatch.setattr(ahead, "compiled", refuse)
    with pytest.raises(SystemExit, match="nothing could be compiled"):
        run(monkeypatch, "--target=two", "--kernels=whole")
    assert "whole is left out: RESOURCE_EXHAUSTED: out of memory\n" in capsys.readouterr().out


def test_a_batch_that_does_not_fit_the_devices_is_told_in_one_line(monkeypatch, two_devices):
    with pytest.raises(SystemExit, match="not divisible by the number of devices 2"):
        run(monkeypatch, "--target=two", "--kernels=whole", "--image_size=32", "--depth=1", "--batch_size=3")
