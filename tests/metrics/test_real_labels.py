"""Accuracy against sets of labels."""

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.metrics.real_labels import ReassessedMetric

ANSWERS = [2, 0, 1, 1, 2, 0]
SETS = [{2}, {0, 1}, {0, 2}, set(), {0, 1, 2}, {0}]


def metric_of(is_real: list[bool]) -> ReassessedMetric:
    logits = np.eye(3, dtype=np.float32)[ANSWERS]
    accepted = np.asarray([[label in right for label in range(3)] for right in SETS])
    return ReassessedMetric.of_batch(jnp.asarray(logits), jnp.asarray(accepted), is_real=jnp.asarray(is_real))


def test_answer_in_the_set_is_right_and_empty_sets_do_not_count():
    assert metric_of([True] * 6).compute() == {"real_top1": 4 / 5, "num_real_examples": 5}


def test_padding_does_not_count():
    assert metric_of([True] * 5 + [False]).compute() == {"real_top1": 3 / 4, "num_real_examples": 4}


def test_parts_merge_to_the_whole():
    halves = metric_of([True] * 3 + [False] * 3).merge(metric_of([False] * 3 + [True] * 3))
    assert halves.compute() == metric_of([True] * 6).compute()


def test_answer_that_is_no_number_is_wrong():
    metric = ReassessedMetric.of_batch(jnp.full((2, 3), jnp.nan), jnp.ones((2, 3), bool), is_real=jnp.ones(2, bool))
    assert metric.compute()["real_top1"] == 0.0


def test_no_labelled_example_has_no_value():
    with pytest.raises(ValueError, match="no example"):
        metric_of([False] * 6).compute()
