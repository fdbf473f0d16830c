"""What a model's computation takes from the device."""

import dataclasses
import logging

import jax
import pytest

from gauss_vit.assembly.device import dtype_of_hardware, experiment_here, fastest_dtype, model_here
from gauss_vit.kernels import cudnn
from gauss_vit.kernels.choice import choose
from gauss_vit.models.compute import Compute
from gauss_vit.models.presets import PRESETS
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from tests.tiny_config import get_config

HALF = with_terms(
    dataclasses.replace(PRESETS["vit_relpos_small_patch16_224"], compute=Compute(dtype="bfloat16")), Gaussian()
)
SWIN = dataclasses.replace(PRESETS["swin_tiny_patch4_window7_224"], compute=Compute(dtype="bfloat16"))


def with_kernel(config, kernel):
    return dataclasses.replace(config, compute=dataclasses.replace(config.compute, kernel=kernel))


@pytest.mark.parametrize(
    ("platform", "gpu_capability", "cpu_features", "expected"),
    [
        ("cpu", "", {"avx2"}, "float32"),
        ("cpu", "", {"avx512f", "avx512_bf16"}, "float32"),
        ("cpu", "", {"avx512f", "amx_bf16"}, "bfloat16"),
        ("gpu", "7.5", {"amx_bf16"}, "float32"),
        ("gpu", "8.0", set(), "bfloat16"),
        ("gpu", "10.3", set(), "bfloat16"),
        ("gpu", "", set(), "bfloat16"),
        ("tpu", "", set(), "bfloat16"),
    ],
)
def test_bfloat16_is_fastest_where_hardware_has_it(platform, gpu_capability, cpu_features, expected):
    assert dtype_of_hardware(platform, gpu_capability=gpu_capability, cpu_features=cpu_features) == expected


def test_fastest_dtype_of_this_process_is_one():
    assert fastest_dtype() in ("float32", "bfloat16")


@pytest.fixture
def gpu(monkeypatch) -> list[tuple[int, int]]:
    """Lets this process believe that it has a GPU whose cuDNN is right; holds the sizes that were compared."""
    compared = []
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(cudnn, "fault", lambda *sizes, device, has_bias: compared.append((*sizes, has_bias)) or "")
    return compared


def test_on_a_cpu_nothing_is_changed_or_said(caplog):
    with caplog.at_level(logging.INFO, "gauss_vit"):
        assert model_here(HALF) == HALF
        assert experiment_here(get_config()) == get_config()
    assert not caplog.messages


@pytest.mark.parametrize(("name", "platform"), [("gpu", "gpu"), ("tpu", "tpu"), ("METAL", "tpu")])
def test_the_platform_is_that_of_the_process_whatever_the_config_says(name, platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: name)
    stale = dataclasses.replace(PRESETS["deit_tiny_patch16_224"], compute=Compute(platform="cpu"))
    assert model_here(stale).compute == Compute(platform=platform)


@pytest.mark.parametrize("wanted", ["auto", "cudnn"])
def test_cudnn_that_is_right_computes_what_it_can(wanted, gpu, caplog):
    with caplog.at_level(logging.INFO, "gauss_vit"):
        here = model_here(with_kernel(HALF, wanted))
    assert here.compute == Compute(dtype="bfloat16", kernel="cudnn", platform="gpu")
    assert gpu == [(196, 64, True)]
    assert not caplog.messages


def test_every_kind_of_attention_is_compared_once(gpu):
    here = model_here(SWIN)
    assert here.compute.kernel == "cudnn"
    assert gpu == [(49, 32, True)]
    # Shifted windows have masks, which cuDNN does not take.
    shape = here.stages()[0].attention.shape
    assert [choose(shape(has_mask=has_mask), "cudnn") for has_mask in (False, True)] == ["cudnn", "einsum"]


@pytest.mark.parametrize("wanted", ["auto", "cudnn"])
@pytest.mark.usefixtures("gpu")
def test_cudnn_that_is_wrong_is_not_used_and_one_line_says_why(wanted, monkeypatch, caplog):
    monkeypatch.setattr(cudnn, "fault", lambda *_, **__: "the result differs")
    with caplog.at_level(logging.INFO, "gauss_vit"):
        here = model_here(with_kernel(HALF, wanted))
    assert here.compute.kernel == "auto"
    assert caplog.messages == ["attention is computed without cuDNN: the result differs"]


def test_cudnn_that_is_asked_for_and_cannot_is_not_used_and_one_line_says_why(caplog):
    with caplog.at_level(logging.INFO, "gauss_vit"):
        assert model_here(with_kernel(HALF, "cudnn")).compute.kernel == "auto"
    assert caplog.messages == ["attention is computed without cuDNN: it needs a GPU, and this is a cpu"]


@pytest.mark.parametrize("config", [with_kernel(HALF, "einsum"), dataclasses.replace(HALF, attention_dropout=0.1)])
def test_where_another_kernel_is_taken_nothing_is_compared(config, gpu, caplog):
    with caplog.at_level(logging.INFO, "gauss_vit"):
        assert model_here(config).compute.kernel == config.compute.kernel
    assert gpu == [] and not caplog.messages
