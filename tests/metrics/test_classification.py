"""Counts are exact for every size and every split of the examples."""

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.metrics.classification import ClassificationMetric


def metric_of(logits, label, is_real=None):
    real = np.ones(len(label), bool) if is_real is None else is_real
    loss = np.arange(len(label), dtype=np.float32)
    return ClassificationMetric.of_batch(
        jnp.asarray(logits, jnp.float32),
        jnp.asarray(label, jnp.int32),
        loss=jnp.asarray(loss),
        is_real=jnp.asarray(real),
    )


def test_top_one_and_five_equal_a_sort():
    logits = np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32)
    label = np.arange(50) % 9
    order = np.argsort(-logits, axis=1)
    values = metric_of(logits, label).compute()
    assert values["top1"] == (order[:, 0] == label).mean()
    assert values["top5"] == (order[:, :5] == label[:, None]).any(axis=1).mean()
    assert values["num_examples"] == 50
    assert values["loss"] == pytest.approx(24.5)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_batches_merge_to_the_whole_with_padding_ignored(size):
    logits = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32)
    label = np.arange(20) % 6
    total = ClassificationMetric.empty()
    for start in range(0, 20, size):
        part = slice(start, start + size)
        padding = size - len(label[part])
        batch_logits = np.concatenate([logits[part], np.zeros((padding, 6), np.float32)])
        batch_label = np.concatenate([label[part], np.zeros(padding, np.int64)])
        is_real = np.arange(size) < len(label[part])
        loss = np.concatenate([np.arange(20, dtype=np.float32)[part], np.full(padding, np.nan, np.float32)])
        part_metric = ClassificationMetric.of_batch(
            jnp.asarray(batch_logits),
            jnp.asarray(batch_label, jnp.int32),
            loss=jnp.asarray(loss),
            is_real=jnp.asarray(is_real),
        )
        total = total.merge(part_metric)
    assert total.compute() == metric_of(logits, label).compute()


def test_a_constant_model_scores_chance_not_one():
    values = metric_of(np.zeros((12, 6)), np.arange(12) % 6).compute()
    assert values["top1"] == 1 / 6
    assert values["top5"] == 5 / 6


def test_logits_that_are_not_numbers_are_never_right():
    values = metric_of(np.full((4, 3), np.nan), np.zeros(4)).compute()
    assert values["top1"] == 0
    assert values["top5"] == 0


def test_example_of_which_any_logit_is_no_number_is_not_right():
    logits = np.array([[2.0, 1.0, np.nan], [2.0, 1.0, 0.0]])
    assert metric_of(logits, np.zeros(2)).compute()["top1"] == 0.5


def test_no_examples_have_no_value():
    with pytest.raises(ValueError, match="no examples"):
        ClassificationMetric.empty().compute()


def test_counts_beyond_32_bits_stay_exact():
    many = ClassificationMetric(
        loss_sum=np.float64(0), num_top1=np.int64(2**31), num_top5=np.int64(2**31), num_examples=np.int64(2**32)
    )
    assert many.merge(ClassificationMetric.empty()).compute()["top1"] == 0.5
