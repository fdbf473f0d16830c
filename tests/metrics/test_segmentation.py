"""IoU and accuracy of pixels equal a plain computation in NumPy, with everything that may be absent."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.metrics.confusion import Confusion
from gauss_vit.metrics.metric import to_host
from gauss_vit.metrics.segmentation import SegmentationMetric
from gauss_vit.ops.row_blocks import bilinear

IGNORED, CLASSES, SIZE = 255, 6, (70, 5)
RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(8, *SIZE, CLASSES)).astype(np.float32)
LOGITS[..., 5] = -9  # Class 5 is neither predicted nor labelled, class 4 only predicted.
LABEL = RANDOM.integers(4, size=(8, *SIZE)).astype(np.uint8)
LABEL[1, :30] = IGNORED
LABEL[2] = IGNORED
IS_REAL = np.arange(8) < 6


@jax.jit
def metric_of(logits, label, is_real):
    resampling = bilinear(SIZE, jnp.asarray([SIZE], jnp.int32), canvas=SIZE)
    return SegmentationMetric.of_batch(logits, resampling, label, ignored=IGNORED, is_real=is_real)


def plain(logits: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Computes the values as MMSegmentation does: histograms of classes, then means that leave NaN out."""
    counts = label != IGNORED
    found, label = logits.argmax(axis=-1)[counts], label[counts].astype(int)
    right, labelled, predicted = (
        np.bincount(classes, minlength=CLASSES) for classes in (label[found == label], label, found)
    )
    chosen = logits[counts].astype(np.float64)
    losses = np.log(np.exp(chosen).sum(axis=-1)) - chosen[np.arange(len(label)), label]
    with np.errstate(invalid="ignore"):
        iou, accuracy = right / (labelled + predicted - right), right / labelled
    return {
        "loss": pytest.approx(losses.mean(), rel=1e-6),
        "miou": np.nanmean(iou),
        "macc": np.nanmean(accuracy),
        "aacc": right.sum() / labelled.sum(),
        "num_absent_classes": np.isnan(iou).sum(),
        "num_pixels": len(label),
    }


def test_values_equal_a_plain_computation():
    metric = metric_of(LOGITS, LABEL, IS_REAL)
    expected = plain(LOGITS[IS_REAL], LABEL[IS_REAL])
    assert metric.compute() == {**expected, "num_examples": 6}
    assert expected["num_absent_classes"] == 1


def test_predicted_class_without_a_label_has_an_iou_of_zero_and_no_accuracy():
    shares = metric_of(LOGITS, LABEL, IS_REAL).shares()
    assert shares["IoU"][4] == 0 and np.isnan(shares["accuracy"][4])
    assert np.isnan(shares["IoU"][5]) and np.isnan(shares["accuracy"][5])


def test_counts_are_pairs_of_label_and_prediction():
    counts = np.zeros((CLASSES, CLASSES), int)
    is_counted = (LABEL != IGNORED) & IS_REAL[:, None, None]
    np.add.at(counts, (LABEL[is_counted], LOGITS.argmax(axis=-1)[is_counted]), 1)
    np.testing.assert_array_equal(metric_of(LOGITS, LABEL, IS_REAL).confusion.counts, counts)


def test_parts_merge_to_the_whole():
    first, second = (metric_of(LOGITS, LABEL, IS_REAL & (np.arange(8) % 2 == part)) for part in range(2))
    whole = metric_of(LOGITS, LABEL, IS_REAL)
    merged = to_host(first).merge(to_host(second))
    np.testing.assert_array_equal(merged.confusion.counts, whole.confusion.counts)
    assert merged.compute()["miou"] == whole.compute()["miou"]


def test_eight_devices_count_what_one_does():
    mesh = jax.sharding.Mesh(jax.devices(), "data")
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    arrays = (jax.device_put(array, split) for array in (LOGITS, LABEL, IS_REAL))
    found, expected = metric_of(*arrays), metric_of(LOGITS, LABEL, IS_REAL)
    np.testing.assert_array_equal(found.confusion.counts, expected.confusion.counts)
    assert float(found.loss_sum) == pytest.approx(float(expected.loss_sum), rel=1e-6)


@pytest.mark.parametrize(("label", "is_real"), [(LABEL, IS_REAL & False), (LABEL * 0 + IGNORED, IS_REAL)])
def test_nothing_has_no_share(label: np.ndarray, is_real: np.ndarray):
    metric = metric_of(LOGITS, label.astype(np.uint8), is_real)
    values = metric.compute()
    assert all(math.isnan(values[name]) for name in ("loss", "miou", "macc", "aacc"))
    assert (values["num_pixels"], values["num_absent_classes"]) == (0, CLASSES)
    assert values["num_examples"] == is_real.sum()
    assert float(metric.loss_sum) == 0


def test_equal_logits_are_the_lower_class():
    values = metric_of(np.zeros_like(LOGITS), LABEL, IS_REAL).compute()
    assert values["macc"] == 1 / 4


def test_label_that_is_no_class_has_no_loss():
    label = LABEL.copy()
    label[0, 0, 0] = CLASSES
    assert math.isnan(metric_of(LOGITS, label, IS_REAL).compute()["loss"])


def test_counts_beyond_32_bits_stay_exact():
    many = SegmentationMetric(
        loss_sum=np.float32(0),
        num_examples=np.int32(1),
        confusion=Confusion(counts=np.full((2, 2), 2**31 - 1, np.int32)),
    )
    doubled = to_host(many).merge(to_host(many))
    assert doubled.compute()["num_pixels"] == 8 * (2**31 - 1)
    assert doubled.compute()["miou"] == 1 / 3


def test_batch_of_more_pixels_than_32_bits_count_is_refused():
    size = (2**15, 2**15)
    resampling = jax.eval_shape(lambda: bilinear(SIZE, jnp.asarray([size], jnp.int32), canvas=size))
    label, is_real = jax.ShapeDtypeStruct((2, *size), jnp.uint8), jax.ShapeDtypeStruct((2,), jnp.bool_)
    with pytest.raises(ValueError, match="use smaller batches"):
        jax.eval_shape(
            lambda *arrays: SegmentationMetric.of_batch(
                arrays[0], arrays[1], arrays[2], ignored=IGNORED, is_real=arrays[3]
            ),
            jax.ShapeDtypeStruct((2, *SIZE, CLASSES), jnp.float32),
            resampling,
            label,
            is_real,
        )


def test_overall_has_the_counts_of_pixel_accuracy():
    pixels, *means = metric_of(LOGITS, LABEL, IS_REAL).overall()
    assert pixels.num_correct is not None and pixels.num is not None
    assert pixels.share == pixels.num_correct / pixels.num
    assert [mean.num for mean in means] == [None, None]


def test_pixel_of_which_a_logit_is_no_number_is_wrong():
    logits, real = LOGITS.copy(), np.ones_like(IS_REAL)
    logits[..., -1] = np.nan
    values = metric_of(logits, LABEL, real).compute()
    assert (values["aacc"], values["miou"]) == (0, 0)
    assert values["num_pixels"] == metric_of(LOGITS, LABEL, real).compute()["num_pixels"]
