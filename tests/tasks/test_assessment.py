"""What a trained classifier is measured by."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.batches import Batch, ClassTargets
from gauss_vit.errors import ConfigError
from gauss_vit.metrics.class_subsets import ClassSubset
from gauss_vit.metrics.classification_report import ClassificationReport
from gauss_vit.tasks.assessment import Assessment
from gauss_vit.tasks.classification import Classification

RANDOM = np.random.default_rng(0)
LOGITS = jnp.asarray(RANDOM.normal(size=(30, 7)), jnp.float32)
BATCH = Batch(
    image=jnp.zeros((30, 2, 2, 3), jnp.uint8),
    is_real=jnp.arange(30) < 26,
    targets=ClassTargets(label=jnp.asarray(RANDOM.integers(7, size=30), jnp.int32)),
)
CHOSEN = (1, 3, 4)


def assess(batch: Batch, subset: ClassSubset | None = None) -> ClassificationReport:
    return Assessment(subset=subset).results(Classification(), LOGITS, batch).report


def test_report_has_the_task_s_metric_and_the_confusion():
    values = assess(BATCH).compute()
    plain = Classification().measure(LOGITS, BATCH).compute()
    assert {name: values[name] for name in plain} == plain
    assert set(values) - set(plain) == {"class_mean_top1"}


def test_diagonal_of_the_confusion_is_what_top1_counts():
    report = assess(BATCH)
    assert int(np.trace(report.confusion.counts)) == int(report.classification.num_top1)


def test_accepted_classes_are_measured_where_a_batch_has_them():
    accepted = jnp.asarray(RANDOM.random(size=(30, 7)) < 0.3)
    targets = dataclasses.replace(BATCH.targets, accepted=accepted)
    report = assess(dataclasses.replace(BATCH, targets=targets))
    answer = np.argmax(LOGITS, axis=1)
    counts = np.asarray(BATCH.is_real) & np.any(accepted, axis=1)
    right = np.asarray(accepted)[np.arange(30), answer] & counts
    assert report.compute()["real_top1"] == right.sum() / counts.sum()


@pytest.mark.parametrize("num_labels", [3, 7])
def test_subset_chooses_among_its_classes_alone(num_labels: int):
    label = np.asarray(BATCH.targets.label)
    is_chosen = np.isin(label, CHOSEN) & np.asarray(BATCH.is_real)
    given = np.searchsorted(CHOSEN, label) % 3 if num_labels == 3 else label
    targets = ClassTargets(label=jnp.asarray(given, jnp.int32))
    batch = dataclasses.replace(BATCH, targets=targets, is_real=jnp.asarray(is_chosen))
    report = assess(batch, ClassSubset(indices=CHOSEN, num_labels=num_labels))
    answer = np.asarray(CHOSEN)[np.argmax(np.asarray(LOGITS)[:, list(CHOSEN)], axis=1)]
    values = report.compute()
    assert values["num_examples"] == is_chosen.sum()
    assert values["top1"] == (answer == label)[is_chosen].mean()
    assert report.confusion.counts.shape == (3, 3)


def test_examples_of_other_classes_do_not_count():
    report = assess(BATCH, ClassSubset(indices=CHOSEN, num_labels=7))
    expected = np.isin(BATCH.targets.label, CHOSEN) & np.asarray(BATCH.is_real)
    assert report.compute()["num_examples"] == expected.sum()


@pytest.mark.parametrize(
    "subset", [ClassSubset(indices=CHOSEN, num_labels=5), ClassSubset(indices=(1, 9), num_labels=2)]
)
def test_subset_of_something_else_is_refused(subset: ClassSubset):
    with pytest.raises(ConfigError, match="the subset is"):
        assess(BATCH, subset)


def test_classes_of_images_come_to_the_accuracy_that_is_counted():
    measure = Assessment()
    collector = measure.collector(None)
    rows = [slice(0, 13), slice(13, 30)]
    for part in rows:
        batch = Batch(
            image=BATCH.image[part], is_real=BATCH.is_real[part], targets=ClassTargets(label=BATCH.targets.label[part])
        )
        collector.add(measure.results(Classification(), LOGITS[part], batch))
    found = collector.predictions()
    assert found.label.tolist() == np.asarray(BATCH.targets.label)[:26].tolist()
    assert (found.label == found.predicted).mean() == collector.compute()["top1"]


def test_collector_without_images_has_no_classes():
    assert Assessment().collector(None).predictions().label.shape == (0,)


def test_no_class_is_predicted_from_a_nan():
    logits = LOGITS.at[3, 2].set(jnp.nan)
    found = Assessment().results(Classification(), logits, BATCH).predicted
    assert found[3] == -1
    assert (found[:3] == jnp.argmax(LOGITS[:3], axis=1)).all()
