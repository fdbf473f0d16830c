"""The detection task: each term of its loss beside NumPy, its normalisers, its measure, and images without objects."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.batches import Batch
from gauss_vit.errors import ConfigError
from gauss_vit.heads.detections import FoundObjects, SampledAnchors, SampledMasks, SampledOutputs, SampledRegions
from gauss_vit.metrics.class_subsets import ClassSubset
from gauss_vit.metrics.metric import to_host
from gauss_vit.ops.detection.selection import Detections
from gauss_vit.tasks.coco_measure import CocoMeasure
from gauss_vit.tasks.detection import Detection
from gauss_vit.tasks.task import Examples, Task

TASK = Detection()
BATCH, NUM_ANCHORS, NUM_REGIONS, NUM_MASKS, CELLS, NUM_CLASSES = 3, 8, 6, 2, 4, 3
RANDOM = np.random.default_rng(0)
IS_REAL = np.asarray([True, True, False])
TERMS = ("rpn_class_loss", "rpn_box_loss", "class_loss", "box_loss", "mask_loss")


def kinds(size: int, *counts: tuple[int, int]) -> dict[str, np.ndarray]:
    """Marks (positives, others) of each image, in the order of a sample."""
    place = np.arange(size)
    return {
        "is_positive": np.stack([place < positives for positives, _ in counts]),
        "is_real": np.stack([place < positives + others for positives, others in counts]),
    }


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


ANCHORS = SampledAnchors(
    index=np.zeros((BATCH, NUM_ANCHORS), np.int32),
    logit=floats(BATCH, NUM_ANCHORS),
    code=floats(BATCH, NUM_ANCHORS, 4),
    target=floats(BATCH, NUM_ANCHORS, 4),
    # The second image has no object, and one object counts all the same.
    **kinds(NUM_ANCHORS, (3, 5), (0, 6), (4, 4)),
)
REGIONS = SampledRegions(
    yxyx=floats(BATCH, NUM_REGIONS, 4),
    logits=floats(BATCH, NUM_REGIONS, NUM_CLASSES + 1),
    code=floats(BATCH, NUM_REGIONS, 4),
    target=floats(BATCH, NUM_REGIONS, 4),
    label=RANDOM.integers(NUM_CLASSES + 1, size=(BATCH, NUM_REGIONS)).astype(np.int32),
    **kinds(NUM_REGIONS, (2, 4), (0, 5), (1, 5)),
)
MASKS = SampledMasks(
    logits=floats(BATCH, NUM_MASKS, CELLS, CELLS),
    target=RANDOM.random((BATCH, NUM_MASKS, CELLS, CELLS)) < 0.5,
    is_real=REGIONS.is_positive[:, :NUM_MASKS],
)
OUTPUTS = SampledOutputs(anchors=ANCHORS, regions=REGIONS, masks=MASKS)


def examples(is_real: np.ndarray = IS_REAL) -> Examples:
    return Examples(image=None, targets=None, batch=Batch(image=None, is_real=jnp.asarray(is_real), targets=None))


@jax.jit
def summed(outputs, examples):
    """The sum, its weight, the metric and the gradient of the sum."""

    def of(floating):
        task_outputs = jax.tree.map(lambda new, old: old if new is None else new, floating, outputs, is_leaf=is_none)
        total, weight = TASK.loss(task_outputs, examples, key=jax.random.key(0))
        return total, (weight, TASK.measure(task_outputs, examples.batch))

    def is_none(leaf):
        return leaf is None

    floating = jax.tree.map(lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jnp.floating) else None, outputs)
    (total, (weight, metric)), gradient = jax.value_and_grad(of, has_aux=True)(floating)
    return total, weight, metric, gradient


def binary(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(np.where(target, -logits, logits).astype(np.float64)))


def by_hand(rows: list[int]) -> dict[str, float]:
    """The terms of some images, in float64."""
    anchors, regions, masks = (jax.tree.map(lambda leaf: leaf[rows], part) for part in (ANCHORS, REGIONS, MASKS))
    negatives = anchors.is_real & ~anchors.is_positive
    num_anchors = sum(np.maximum(kind.sum(axis=1), 1).sum() for kind in (anchors.is_positive, negatives))
    num_regions = regions.is_real.sum()
    scores = np.exp(regions.logits.astype(np.float64))
    probability = np.take_along_axis(scores / scores.sum(axis=-1, keepdims=True), regions.label[..., None], axis=-1)
    distances = [
        np.abs(part.code.astype(np.float64) - part.target)[part.is_positive].sum() for part in (anchors, regions)
    ]
    return dict(
        zip(
            TERMS,
            (
                binary(anchors.logit, anchors.is_positive)[anchors.is_real].sum() / num_anchors,
                distances[0] / num_anchors,
                -np.log(probability[..., 0])[regions.is_real].sum() / num_regions,
                distances[1] / num_regions,
                binary(masks.logits, masks.target)[masks.is_real].mean() if masks.is_real.any() else np.nan,
            ),
            strict=True,
        )
    )


def test_terms_are_sums_over_real_images_divided_by_their_own_counts():
    total, weight, metric, _ = summed(OUTPUTS, examples())
    expected, found = by_hand([0, 1]), to_host(metric).compute()
    for name in TERMS:
        assert found[name] == pytest.approx(expected[name], rel=1e-5), name
    assert float(weight) == 2 == found["num_examples"]
    assert float(total) / 2 == pytest.approx(sum(expected.values()), rel=1e-5)
    assert found["loss"] == pytest.approx(sum(expected.values()), rel=1e-5)


def test_merged_terms_are_those_of_all_images():
    first, second = (to_host(summed(OUTPUTS, examples(np.arange(BATCH) == row))[2]) for row in (0, 2))
    merged, expected = first.merge(second).compute(), by_hand([0, 2])
    assert {name: merged[name] for name in TERMS} == pytest.approx(expected, rel=1e-5)


def test_shares_are_of_the_samples_that_are_classified_right():
    found = to_host(summed(OUTPUTS, examples())[2]).compute()
    anchors, regions, masks = (jax.tree.map(lambda leaf: leaf[:2], part) for part in (ANCHORS, REGIONS, MASKS))
    is_right = regions.logits.argmax(axis=-1) == regions.label
    assert found["rpn_accuracy"] == pytest.approx(
        np.mean((anchors.logit > 0) == anchors.is_positive, where=anchors.is_real)
    )
    assert found["class_accuracy"] == pytest.approx(np.mean(is_right[regions.is_real]))
    assert found["object_accuracy"] == pytest.approx(np.mean(is_right[regions.is_positive]))
    assert found["mask_accuracy"] == pytest.approx(np.mean(((masks.logits > 0) == masks.target)[masks.is_real]))


def test_padding_has_no_gradient_and_the_rest_has():
    *_, gradient = summed(OUTPUTS, examples())
    for leaf in (gradient.anchors.logit, gradient.regions.logits, gradient.masks.logits):
        assert np.all(np.isfinite(leaf)) and np.any(leaf[0]) and not np.any(leaf[2])
    assert not np.any(gradient.anchors.code[1]) and not np.any(gradient.masks.logits[1])
    assert not np.any(gradient.regions.logits[1][~REGIONS.is_real[1]])


@pytest.mark.parametrize("is_real", [IS_REAL & False, np.asarray([False, True, False])], ids=["nothing", "no object"])
def test_nothing_to_learn_from_is_zero_and_not_nan(is_real: np.ndarray):
    total, weight, metric, gradient = summed(OUTPUTS, examples(is_real))
    values = to_host(metric).compute()
    assert float(weight) == is_real.sum() and np.isfinite(float(total)) and np.isfinite(values["loss"])
    assert (float(total) > 0) == is_real.any()
    assert np.isnan(values["mask_loss"]) and np.isnan(values["object_accuracy"])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_without_a_mask_head_there_is_no_mask_loss():
    _, _, metric, _ = summed(dataclasses.replace(OUTPUTS, masks=None), examples())
    assert set(metric.losses) == {*TERMS} - {"mask_loss"} and "mask_accuracy" not in metric.shares


def test_detection_is_a_task_that_is_assessed_by_average_precision():
    assert isinstance(TASK, Task) and TASK.targets == "objects" and TASK.num_classes == 80
    assert TASK.assessment(None) == CocoMeasure()
    with pytest.raises(ConfigError, match="leave out --subset"):
        TASK.assessment(ClassSubset(indices=(0, 1), num_labels=2))


def test_found_objects_are_not_measured_by_the_loss():
    nothing = Detections(yxyx=None, score=None, label=None, is_real=None, num_dropped=None)
    with pytest.raises(ConfigError, match=r"CocoMeasure\(\)"):
        TASK.measure(FoundObjects(objects=nothing), examples().batch)
