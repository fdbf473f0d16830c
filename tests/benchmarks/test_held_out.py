"""The held-out measure: counts of each image, the constant prediction, and draws of images."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import held_out
from gauss_vit.batches import Batch, Mask, MaskTargets


def counts_of(labels: list[list[int]], predictions: list[list[int]]) -> np.ndarray:
    """Counts of images of a few pixels in three classes."""
    index, values = (np.asarray(each, np.uint8)[:, None, :] for each in (predictions, labels))
    task = SimpleNamespace(num_classes=3, predict=lambda outputs, batch: SimpleNamespace(index=jnp.asarray(index)))
    batch = Batch(
        image=None, is_real=np.ones(len(labels), bool), targets=MaskTargets(mask=Mask(values=jnp.asarray(values)))
    )
    collected = held_out.ByImage().collector(None)
    collected.add(tuple(map(np.asarray, held_out.ByImage().results(task, None, batch))))
    return np.concatenate(collected.found)


def test_ignored_pixels_count_for_nothing():
    counts = counts_of([[0, 0, 1, 255]], [[0, 1, 1, 2]])
    assert counts.tolist() == [[[1, 1, 0], [2, 1, 0], [1, 2, 0]]]
    assert held_out.miou(counts.sum(axis=0)) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_padding_is_not_an_image():
    rows = held_out.Rows()
    rows.add((np.ones((2, 3, 3), np.int32), np.array([True, False])))
    assert len(np.concatenate(rows.found)) == 1


def test_the_majority_is_that_of_the_training_split(monkeypatch: pytest.MonkeyPatch):
    masks = [Mask(values=np.array([[2, 2, 0]], np.uint8)), Mask(values=np.array([[2, 1, 255]], np.uint8))]
    source = [SimpleNamespace(targets=MaskTargets(mask=mask)) for mask in masks]
    monkeypatch.setattr(held_out.feeds, "open_split", lambda shown, split: source)
    shown = SimpleNamespace(data=SimpleNamespace(train_split="train"))
    constant = held_out.majority(shown, counts_of([[0, 2, 2, 1]], [[0, 0, 0, 0]]))
    assert constant.tolist() == counts_of([[0, 2, 2, 1]], [[2, 2, 2, 2]]).tolist()


def test_an_interval_is_of_draws_of_images_and_the_difference_on_the_same_draws():
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, (20, 40))
    flawed = np.where(random.random(labels.shape) < 0.3, random.integers(0, 3, labels.shape), labels)
    worse, better = (counts_of(labels.tolist(), each.tolist()) for each in (flawed, labels))
    first, second = held_out.summed_up({"flawed": [worse, worse], "right": [better]})
    assert first.interval[0] < first.mean < first.interval[1] < 1
    assert first.deviation == 0 and first.difference == (0.0, 0.0)
    assert (second.mean, second.interval, second.accuracy) == (1.0, (1.0, 1.0), (1.0,))
    assert second.difference == pytest.approx((1 - first.interval[1], 1 - first.interval[0]))
