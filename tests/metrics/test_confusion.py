"""Confusion counts against numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.metrics.confusion import Confusion

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(60, 5)).astype(np.float32)
LABEL = RANDOM.integers(4, size=60).astype(np.int32)  # Class 4 has no example.


def confusion_of(logits: np.ndarray, label: np.ndarray, is_real: np.ndarray | None = None) -> Confusion:
    real = np.ones(len(label), bool) if is_real is None else is_real
    return Confusion.of_batch(jnp.asarray(logits), jnp.asarray(label), is_real=jnp.asarray(real))


def test_every_example_counts_once_at_its_class_and_answer():
    expected = np.zeros((5, 5), int)
    np.add.at(expected, (LABEL, LOGITS.argmax(axis=1)), 1)
    np.testing.assert_array_equal(confusion_of(LOGITS, LABEL).counts, expected)


def test_parts_with_padding_merge_to_the_whole():
    first = confusion_of(LOGITS[:40], LABEL[:40], np.arange(40) < 25)
    second = confusion_of(LOGITS[25:], LABEL[25:])
    np.testing.assert_array_equal(first.merge(second).counts, confusion_of(LOGITS, LABEL).counts)


def test_accuracy_is_by_class_and_their_mean_leaves_empty_ones_out():
    confusion = confusion_of(LOGITS, LABEL)
    accuracy = [np.mean(LOGITS[label == LABEL].argmax(axis=1) == label) for label in range(4)]
    np.testing.assert_allclose(confusion.class_accuracy()[:4], accuracy)
    assert np.isnan(confusion.class_accuracy()[4])
    assert confusion.compute() == {"class_mean_top1": pytest.approx(np.mean(accuracy))}


def test_answer_that_is_no_number_is_not_counted():
    logits = LOGITS.copy()
    logits[0, 2] = np.nan
    assert int(np.sum(confusion_of(logits, LABEL).counts)) == 59


def test_no_example_has_no_value():
    with pytest.raises(ValueError, match="no examples"):
        confusion_of(LOGITS, LABEL, np.zeros(60, bool)).compute()


def test_confused_pairs_are_all_wrong_answers_the_most_frequent_first():
    confusion = confusion_of(LOGITS, LABEL)
    pairs = confusion.confused_pairs()
    wrong = np.asarray(confusion.counts) * ~np.eye(5, dtype=bool)
    assert sum(pair.count for pair in pairs) == wrong.sum()
    assert [pair.count for pair in pairs] == sorted(wrong[wrong > 0].tolist(), reverse=True)
    for pair in pairs:
        assert (pair.count, pair.num_examples) == (wrong[pair.label, pair.predicted], np.sum(pair.label == LABEL))
