"""Libraries that may stand in for pycocotools give all of its numbers; the extra `coco-fast` installs them."""

import functools
import gzip
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.metrics.coco import Backend, CocoScores, Kind, scores
from tests.metrics.result_sets import result_sets
from tests.metrics.test_coco import truth_of

ALTERNATIVES = tuple(name for name in get_args(Backend) if name != "pycocotools")
KINDS = get_args(Kind)
SETS = ("perfect", "perfect_crowds", "jitter", "jitter_noise", "equal_scores", "empty", "on_crowds")
REAL = "coco_instances_train2017_first128.json.gz"


@pytest.mark.parametrize("backend", ALTERNATIVES)
def test_a_backend_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, backend: Backend):
    monkeypatch.setitem(sys.modules, backend, None)
    with pytest.raises(ConfigError, match=f"needs {backend}") as refused:
        scores(truth_of(), [], kind="bbox", backend=backend)
    assert "pip install 'gauss_vit[coco-fast]'" in refused.value.do


def test_crowds_cost_nothing_and_what_is_perfect_is_one():
    truth = truth_of()
    made = result_sets(truth)
    assert tuple(made) == SETS
    for kind in KINDS:
        perfect, crowds, empty = (
            scores(truth, made[name], kind=kind).values for name in ("perfect", "on_crowds", "empty")
        )
        assert perfect == crowds and perfect["AP"] == pytest.approx(1)
        assert set(empty.values()) == {0.0}


@functools.cache
def drawn() -> tuple[dict[str, Any], dict[str, list[Mapping[str, Any]]]]:
    truth = truth_of()
    return truth, result_sets(truth)


def assert_equal(found: CocoScores, expected: CocoScores) -> None:
    """To the rounding of a mean over the classes and the 1,010 places of a curve."""
    for name in ("values", "class_precision"):
        one, other = vars(found)[name], vars(expected)[name]
        assert list(one) == list(other)
        np.testing.assert_allclose(list(one.values()), list(other.values()), rtol=1e-12, atol=0)


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("backend", ALTERNATIVES)
def test_all_numbers_are_those_of_pycocotools(
    backend: Backend, name: str, kind: Kind, capfd: pytest.CaptureFixture[str]
):
    pytest.importorskip(backend)
    truth, made = drawn()
    found = scores(truth, made[name], kind=kind, backend=backend)
    assert capfd.readouterr().out == ""
    assert_equal(found, scores(truth, made[name], kind=kind))


@pytest.mark.full
@pytest.mark.parametrize("backend", ALTERNATIVES)
def test_all_numbers_on_annotations_of_coco_are_those_of_pycocotools(backend: Backend, real_data: Path):
    pytest.importorskip(backend)
    truth = json.loads(gzip.decompress((real_data / REAL).read_bytes()))
    for results in result_sets(truth).values():
        for kind in KINDS:
            assert_equal(scores(truth, results, kind=kind, backend=backend), scores(truth, results, kind=kind))
