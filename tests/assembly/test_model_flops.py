"""The utilisation counts the operations of the model, not those that are repeated to save memory."""

import dataclasses

import pytest

from gauss_vit.assembly import model_flops
from gauss_vit.experiment import Experiment
from tests.tiny_config import get_config

TINY = get_config()


def with_remat(remat: str) -> Experiment:
    compute = dataclasses.replace(TINY.model.compute, remat=remat, kernel="rows")
    return dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, compute=compute))


def test_utilization_leaves_out_what_is_recomputed():
    found = model_flops.utilization(with_remat("full"), ["TPU v4"] * 4)
    assert found is not None
    assert found.peak_flops == pytest.approx(4 * 275e12)
    assert found.flops_per_image == model_flops.model_flops(TINY).backward
    assert found.flops_per_image < model_flops.model_flops(with_remat("full")).backward


def test_nothing_is_traced_where_the_peak_is_not_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model_flops, "model_flops", None)
    assert model_flops.utilization(TINY, ["cpu"]) is None
