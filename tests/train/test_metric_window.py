"""Sums between two lines of progress."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gauss_vit.errors import DivergedError
from gauss_vit.metrics.classification import ClassificationMetric
from gauss_vit.metrics.confusion import Confusion
from gauss_vit.train.metric_window import MetricWindow
from gauss_vit.train.step import Outcome


def outcome(loss: float, *, is_finite: bool = True) -> Outcome:
    metric = ClassificationMetric(
        loss_sum=np.float32(loss), num_top1=np.int32(1), num_top5=np.int32(2), num_examples=np.int32(2)
    )
    return Outcome(
        loss=np.float32(loss / 2),
        metric=metric,
        gradient_norm=np.float32(loss),
        is_finite=np.asarray(is_finite),
        first_bad=np.int32(0),
    )


def explain(step: int, bad: Outcome) -> DivergedError:
    return DivergedError(f"step {step} {float(bad.loss)}")


def test_values_are_means_over_the_interval():
    interval = MetricWindow((), explain=explain)
    interval.take(1, outcome(2.0))
    interval.take(2, outcome(4.0))
    assert interval.values() == {"loss": 1.5, "top1": 0.5, "top5": 1.0, "num_examples": 4, "gradient_norm": 4.0}


def test_restart_forgets():
    interval = MetricWindow((), explain=explain)
    interval.take(1, outcome(2.0))
    interval.values()
    interval.restart()
    interval.take(2, outcome(6.0))
    assert interval.values()["loss"] == 3.0


def test_bad_outcome_is_raised_at_the_next_one_with_its_own_step():
    interval = MetricWindow((), explain=explain)
    interval.take(6, outcome(float("nan"), is_finite=False))
    with pytest.raises(DivergedError, match="step 6 nan"):
        interval.take(7, outcome(1.0))


@pytest.mark.parametrize("ask", [MetricWindow.settle, MetricWindow.values, MetricWindow.leaves])
def test_bad_outcome_is_raised_before_anything_is_made_of_it(ask):
    interval = MetricWindow((), explain=explain)
    interval.take(6, outcome(float("nan"), is_finite=False))
    with pytest.raises(DivergedError, match="step 6"):
        ask(interval)


@pytest.mark.parametrize("stop", [0, 1, 3, 5])
def test_sums_have_the_same_bits_after_a_stop(stop: int):
    losses = np.random.default_rng(0).normal(size=6) ** 2
    whole, first = MetricWindow((), explain=explain), MetricWindow((), explain=explain)
    for step, loss in enumerate(losses):
        whole.take(step, outcome(loss))
    for step, loss in enumerate(losses[:stop]):
        first.take(step, outcome(loss))
    second = MetricWindow(tuple(json.loads(json.dumps(first.leaves()))), explain=explain)
    for step, loss in enumerate(losses[stop:]):
        second.take(step, outcome(loss))
    assert second.values() == whole.values()
    assert jax.tree.leaves(second.leaves()) == jax.tree.leaves(whole.leaves())


def test_restored_sums_are_kept_by_a_save_without_a_step():
    assert MetricWindow((1.5, 2, 3, 4), explain=explain).leaves() == (1.5, 2, 3, 4)


def counted(num_classes: int) -> Outcome:
    """An outcome whose metric is an array."""
    return dataclasses.replace(outcome(1.0), metric=Confusion(counts=np.eye(num_classes, dtype=np.int32)))


def test_sums_in_arrays_are_restored_and_those_of_another_shape_begin_anew():
    first = MetricWindow((), explain=explain)
    first.take(1, counted(2))
    leaves = tuple(json.loads(json.dumps(first.leaves())))
    for num_classes, total in ((2, 4), (3, 3)):
        second = MetricWindow(leaves, explain=explain)
        second.take(2, counted(num_classes))
        assert np.sum(second.leaves()[0]) == total
