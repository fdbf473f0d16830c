"""The benchmark of the train step: which bars count where, and what it asks of the peer."""

import argparse
import dataclasses
import math

import jax
import pytest

from benchmarks import kernel, train
from gauss_vit.models.compute import Compute
from gauss_vit.models.presets.swin import SWIN_TINY
from gauss_vit.models.presets.vit import RELPOS_SMALL

SMALL = "vit_relpos_small_patch16_224"


def options(**changed) -> argparse.Namespace:
    values = {
        "model": SMALL,
        "depth": None,
        "batch_size": 4,
        "steps": 2,
        "threads": 1,
        "dtypes": "bfloat16",
        "unrolled": False,
        "attention_kernel": "auto",
        "peer_python": None,
        "compiled_peer": False,
        "gaussian_peer": False,
        "plain_peer": None,
        "peak_tflops": 989.0,
    }
    return argparse.Namespace(**values | changed)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "device_count", lambda: 1)


SECONDS = [{"wall": 8 / 9_000, "cpu": 1.0}]


def test_on_a_gpu_ours_is_judged_beside_both_compiled_models_and_by_itself(gpu):
    found = dict.fromkeys(("bfloat16", "eager bfloat16", "compiled bfloat16", "plain bfloat16"), SECONDS)
    table = train.compared(found, options(peer_python="python"), "wall")
    assert {row.what: row.at_least for row in table} == {
        "bfloat16": 9_000,
        "eager bfloat16": None,
        "compiled bfloat16": 1.15,
        "plain bfloat16": 1.0,
    }
    assert math.isclose(table[0].ours.median, 9_000)


@pytest.mark.parametrize(
    ("size", "images", "share"), [("small", 9_000, 0.25), ("medium", 6_200, 0.3), ("base", 3_600, 0.38)]
)
def test_utilisation_on_a_gpu_is_that_of_the_images_a_second(gpu, size, images, share):
    chosen = options(model=f"vit_relpos_{size}_patch16_224")
    (row,) = train.utilisation({"bfloat16": [{"wall": 8 / images, "cpu": 1.0}]}, chosen, "wall")
    assert row.at_least == share
    assert math.isclose(row.ours.median, share, rel_tol=0.01)


@pytest.mark.parametrize("changed", [{"depth": 2}, {"model": "vit_small_patch16_224"}])
def test_other_models_have_no_bars_of_their_own(gpu, changed):
    assert train.own_bars(options(**changed), "bfloat16") == (None, None)
    assert train.own_bars(options(), "float32") == (None, None)


def test_on_a_cpu_only_timm_in_float32_is_judged():
    found = dict.fromkeys(("float32", "eager float32", "bfloat16", "compiled bfloat16", "plain bfloat16"), SECONDS)
    table = train.compared(found, options(peer_python="python"), "cpu")
    assert {row.what: row.at_least for row in table} == {
        "eager float32": 0.85,
        "compiled bfloat16": None,
        "plain bfloat16": None,
    }


def test_every_peer_that_is_asked_for_takes_turns_with_ours(monkeypatch):
    asked, made = [], []

    class Stepping:
        def __init__(self, experiment):
            made.append(experiment.model)

        def __call__(self, num_steps):
            pass

    class Timm:
        def seconds(self, kind):
            asked.append(kind)
            return SECONDS[0]

    monkeypatch.setattr(train, "Steps", Stepping)
    chosen = options(compiled_peer=True, plain_peer="vit_small_patch16_224", attention_kernel="einsum")
    sides = train.cases(chosen, Timm())
    for side in sides.values():
        side()
    assert list(sides) == ["bfloat16", "eager bfloat16", "compiled bfloat16", "plain bfloat16"]
    assert asked == list(sides)[1:]
    assert [config.compute.kernel for config in made] == ["einsum"]


def test_the_peer_is_told_both_models_and_the_sizes(monkeypatch):
    told = []
    monkeypatch.setattr(train, "Peer", lambda *arguments: told.append(arguments))
    train.peer_of(options(peer_python="python", plain_peer="vit_small_patch16_224", threads=3))
    assert told == [("python", "benchmarks.timm_peer", SMALL, "vit_small_patch16_224", 12, 4, 2, 3)]


def test_the_note_names_the_kernel_of_every_type():
    models = [dataclasses.replace(RELPOS_SMALL, compute=Compute(dtype=dtype)) for dtype in ("float32", "bfloat16")]
    models[1] = dataclasses.replace(RELPOS_SMALL, compute=Compute(dtype="bfloat16", kernel="reference"))
    assert kernel.note(models) == "Attention by whole in float32, reference in bfloat16."


def test_shifted_windows_may_have_a_kernel_of_their_own():
    model = dataclasses.replace(SWIN_TINY, compute=Compute(dtype="bfloat16", kernel="cudnn", platform="gpu"))
    assert kernel.names(model) == "cudnn and einsum"
