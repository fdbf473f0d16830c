"""The classification task: its loss, its metric, its predictions, and what it makes of a training batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.errors import ConfigError
from gauss_vit.ops.erasing import Erasing
from gauss_vit.ops.losses import binary_cross_entropy, cross_entropy, smooth_one_hot
from gauss_vit.ops.mixing import Mixing, Mixture
from gauss_vit.tasks.augmentation import MixedClasses
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.task import Examples

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
BATCH = Batch(
    image=jnp.zeros((4, 2, 2, 3), jnp.uint8),
    is_real=jnp.asarray([True, True, True, False]),
    targets=ClassTargets(label=jnp.asarray([0, 1, 2, 0], jnp.int32)),
)


def mean_loss(task: Classification, batch: Batch = BATCH, *, mixture: Mixture | None = None) -> float:
    """Divides the sum of the losses by their weight."""
    examples = Examples(image=None, targets=MixedClasses(label=batch.targets.label, mixture=mixture), batch=batch)
    total, weight = task.loss(LOGITS, examples, key=jax.random.key(0))
    assert float(weight) == 3
    return float(total / weight)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_mean_over_real_examples(smoothing):
    losses = cross_entropy(LOGITS, BATCH.targets.label, label_smoothing=smoothing)
    loss = mean_loss(Classification(label_smoothing=smoothing))
    assert loss == pytest.approx(float(jnp.mean(losses[:3])), rel=1e-6)


def test_measured_loss_is_not_smoothed():
    values = Classification(label_smoothing=0.3).measure(LOGITS, BATCH).compute()
    assert values["loss"] == pytest.approx(float(jnp.mean(cross_entropy(LOGITS, BATCH.targets.label)[:3])), rel=1e-6)
    assert values["num_examples"] == 3


def test_smoothing_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="label_smoothing"):
        Classification(label_smoothing=1.0)


MIXTURE = Mixture(
    partner_label=jnp.asarray([2, 2, 0, 1], jnp.int32), share=jnp.asarray([0.25, 1.0, 0.5, 0.0], jnp.float32)
)
MIXED = MixedClasses(label=BATCH.targets.label, mixture=MIXTURE)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_target_is_mixed_by_share_and_sums_to_one(smoothing):
    target = Classification(label_smoothing=smoothing).target(MIXED, num_classes=3)
    np.testing.assert_allclose(jnp.sum(target, axis=-1), np.ones(4), rtol=1e-6)
    sharp = np.asarray([[0.25, 0, 0.75], [0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]])
    np.testing.assert_allclose(target, (1 - smoothing) * sharp + smoothing / 3, rtol=1e-6)


def test_mixed_loss_is_the_mean_of_the_two_classes_losses():
    task = Classification(label_smoothing=0.1)
    own, other = (
        cross_entropy(LOGITS, label, label_smoothing=0.1) for label in (BATCH.targets.label, MIXTURE.partner_label)
    )
    expected = np.mean((MIXTURE.share * own + (1 - MIXTURE.share) * other)[:3])
    assert mean_loss(task, mixture=MIXTURE) == pytest.approx(float(expected), rel=1e-5)


def test_whole_share_is_the_plain_loss():
    whole = dataclasses.replace(MIXTURE, share=jnp.ones(4))
    for objective in ("cross_entropy", "binary_cross_entropy"):
        task = Classification(label_smoothing=0.1, objective=objective)
        assert mean_loss(task, mixture=whole) == pytest.approx(mean_loss(task), rel=1e-6)


def test_objective_decides_the_loss():
    target = smooth_one_hot(BATCH.targets.label, num_classes=3)
    loss = mean_loss(Classification(objective="binary_cross_entropy"))
    assert loss == pytest.approx(float(jnp.mean(binary_cross_entropy(LOGITS, target)[:3])), rel=1e-6)
    assert loss != pytest.approx(mean_loss(Classification()), rel=0.1)


@pytest.mark.parametrize(("threshold", "num_yes"), [(0.0, [2, 2, 1]), (0.2, [1, 2, 1]), (0.9, [0, 0, 1])])
def test_threshold_makes_yes_and_no_of_mixed_classes(threshold, num_yes):
    # The last of the four examples is padding; the third is mixed with its own class.
    mixture = Mixture(partner_label=jnp.asarray([1, 0, 2, 0]), share=jnp.asarray([0.85, 0.6, 0.7, 0.5]))
    batch = dataclasses.replace(BATCH, targets=ClassTargets(label=jnp.asarray([0, 1, 2, 0])))
    target = np.zeros((3, 3))
    for row, (own, other, share) in enumerate([(0, 1, 0.85), (1, 0, 0.6), (2, 2, 0.7)]):
        target[row, own] += share
        target[row, other] += 1 - share
    yes = target > threshold
    assert yes.sum(axis=1).tolist() == num_yes
    of_class = np.where(yes, np.log1p(np.exp(-LOGITS[:3])), np.log1p(np.exp(LOGITS[:3])))
    task = Classification(objective="binary_cross_entropy", target_threshold=threshold)
    assert mean_loss(task, batch, mixture=mixture) == pytest.approx(
        of_class.mean(axis=1)[np.asarray(batch.is_real)[:3]].mean(), rel=1e-5
    )


def test_threshold_without_smoothing_or_mixing_changes_nothing():
    tasks = [Classification(objective="binary_cross_entropy", target_threshold=value) for value in (None, 0.0, 0.2)]
    losses = {mean_loss(task) for task in tasks}
    assert len(losses) == 1


BINARY = {"objective": "binary_cross_entropy"}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({**BINARY, "target_threshold": 0.0, "label_smoothing": 0.1}, "every class is above"),
        ({"target_threshold": 0.2}, "is for the objective binary_cross_entropy"),
        ({**BINARY, "target_threshold": 1.0}, r"must be in \[0, 1\)"),
        ({**BINARY, "target_threshold": -0.1}, r"must be in \[0, 1\)"),
    ],
)
def test_threshold_that_makes_no_sense_is_refused(choices, message):
    with pytest.raises(ConfigError, match=message):
        Classification(**choices)


def test_augmentation_that_is_off_leaves_images_and_classes():
    images = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2, 2, 3)), jnp.float32)
    examples = Classification().prepare(images, BATCH, key=jax.random.key(0))
    assert examples.image is images and examples.targets.mixture is None
    assert examples.batch.targets.label is examples.targets.label is BATCH.targets.label
    assert examples.batch.image is None and examples.batch.is_real is BATCH.is_real


def test_labels_are_mixed_as_the_images_are():
    images = jnp.broadcast_to(jnp.arange(4.0)[:, None, None, None], (4, 8, 8, 3))
    task = Classification(mixing=Mixing(mixup=1.0, cutmix=1.0))
    batch = dataclasses.replace(BATCH, is_real=jnp.ones(4, bool))
    run = jax.jit(lambda key: task.prepare(images, batch, key=key))
    for seed in range(4):
        examples = run(jax.random.key(seed))
        np.testing.assert_array_equal(examples.targets.label, BATCH.targets.label)
        np.testing.assert_array_equal(examples.targets.mixture.partner_label, [0, 2, 1, 0])
        # An image of the constant i becomes s i + (1 - s)(3 - i) in the mean.
        means, share = np.mean(examples.image, axis=(1, 2, 3)), np.asarray(examples.targets.mixture.share)
        np.testing.assert_allclose(means, share * np.arange(4) + (1 - share) * np.arange(3, -1, -1), rtol=1e-5)
        measured = np.where(share >= 0.5, BATCH.targets.label, [0, 2, 1, 0])
        np.testing.assert_array_equal(examples.batch.targets.label, measured)


def test_erasing_changes_images_and_no_label():
    images = jnp.zeros((4, 8, 8, 3))
    examples = Classification(erasing=Erasing(probability=1.0)).prepare(images, BATCH, key=jax.random.key(0))
    assert examples.targets.mixture is None and np.any(examples.image != 0)


def test_predictions_are_probabilities_over_all_classes_or_of_each():
    over_all, of_each = (task.predict(LOGITS, BATCH) for task in (Classification(), Classification(**BINARY)))
    np.testing.assert_allclose(jnp.sum(over_all, axis=-1), np.ones(4), rtol=1e-6)
    np.testing.assert_allclose(of_each, 1 / (1 + np.exp(-LOGITS)), rtol=1e-6)
