"""The segmentation task: its loss in both reductions, its measure and its predictions at the size of the masks."""

import dataclasses
import functools
import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gauss_vit.batches import IGNORED, Batch, Mask, MaskTargets
from gauss_vit.errors import ConfigError
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.metrics.class_report import ClassReport
from gauss_vit.metrics.class_subsets import ClassSubset
from gauss_vit.tasks.label_map import Drawable, Label
from gauss_vit.tasks.segmentation import ClassMap, Segmentation
from gauss_vit.tasks.task import Examples, Task
from gauss_vit.train.checkpoint.reader import restore_params
from gauss_vit.train.loop import fit
from gauss_vit.train.workdir.metrics_log import entries
from tests.ops.test_row_blocks import interpolated
from tests.tasks.shapes import CANVAS, CLASSES, HEAD, NORMALIZATION, SIZE, TASK, program, run_in, whole_images
from tests.train.bits import trace_of

RANDOM = np.random.default_rng(0)
LOGITS, AUXILIARY = (RANDOM.normal(size=(3, *shape, 4)).astype(np.float32) for shape in ((4, 6), (2, 3)))
LABEL = RANDOM.integers(3, size=(3, *SIZE)).astype(np.uint8)
LABEL[0, :, 5:] = IGNORED
IS_REAL = np.asarray([True, True, False])


def examples(label: np.ndarray = LABEL, is_real: np.ndarray = IS_REAL) -> Examples:
    targets = MaskTargets(mask=Mask(values=jnp.asarray(label)))
    return Examples(image=None, targets=targets, batch=Batch(image=None, is_real=jnp.asarray(is_real), targets=targets))


@jax.jit
def sums_and_gradient(logits, auxiliary, examples):
    """The sum and the weight of both reductions, and the gradient of the sum."""

    def of(reduction, logits):
        task, outputs = dataclasses.replace(TASK, reduction=reduction), DenseLogits(logits=logits, auxiliary=auxiliary)
        total, weight = task.loss(outputs, examples, key=jax.random.key(0))
        return total, (total, weight)

    gradient, of_all = jax.grad(functools.partial(of, "all"), has_aux=True)(logits)
    return of_all, of("valid", logits)[1], gradient


@jax.jit
def sums_without_auxiliary(outputs, examples):
    """The sum with a weight of zero, and that of outputs without auxiliary logits."""
    return [
        task.loss(given, examples, key=jax.random.key(0))[0]
        for task, given in (
            (dataclasses.replace(TASK, auxiliary_weight=0.0), outputs),
            (TASK, dataclasses.replace(outputs, auxiliary=None)),
        )
    ]


def plain_sum(logits: np.ndarray, label: np.ndarray) -> float:
    """Sums the losses of the valid pixels of one image, in float64."""
    full = interpolated(logits, label.shape)
    probability = np.exp(full) / np.exp(full).sum(axis=-1, keepdims=True)
    return -sum(
        math.log(probability[place][label[place]]) for place in np.ndindex(*label.shape) if label[place] != IGNORED
    )


def test_loss_is_the_sum_over_valid_pixels_with_the_divisor_of_the_reduction():
    (total, of_all), (same, of_valid), _ = sums_and_gradient(LOGITS, AUXILIARY, examples())
    expected = sum(plain_sum(LOGITS[row], LABEL[row]) + 0.4 * plain_sum(AUXILIARY[row], LABEL[row]) for row in range(2))
    assert float(total) == float(same) == pytest.approx(expected, rel=1e-5)
    assert float(of_all) == 2 * math.prod(SIZE)
    assert float(of_valid) == np.sum(LABEL[:2] != IGNORED)


def test_padding_and_ignored_pixels_have_no_gradient():
    *_, gradient = sums_and_gradient(LOGITS, AUXILIARY, examples())
    assert np.any(np.asarray(gradient)[0]) and not np.any(np.asarray(gradient)[2])
    # Only the last column of logits is all of columns that are ignored.
    assert not np.any(np.asarray(gradient)[0, :, 3:]) and np.all(np.any(np.asarray(gradient)[1], axis=-1))


@pytest.mark.parametrize(
    ("label", "is_real", "num_pixels"),
    [(LABEL, IS_REAL & False, 0), (np.full_like(LABEL, IGNORED), IS_REAL, 2 * math.prod(SIZE))],
)
def test_nothing_to_learn_from_is_zero_and_not_nan(label: np.ndarray, is_real: np.ndarray, num_pixels: int):
    (total, of_all), (_, of_valid), gradient = sums_and_gradient(LOGITS, AUXILIARY, examples(label, is_real))
    assert (float(total), float(of_all), float(of_valid)) == (0, num_pixels, 0)
    assert not np.any(gradient)


def test_weight_of_zero_leaves_the_auxiliary_logits_out():
    without, bare = sums_without_auxiliary(DenseLogits(logits=LOGITS, auxiliary=AUXILIARY), examples())
    assert float(bare) == float(without) > 0


def test_negative_weight_is_refused():
    with pytest.raises(ConfigError, match="auxiliary_weight"):
        Segmentation(head=HEAD, auxiliary_weight=-0.1)


def test_more_classes_than_masks_hold_are_refused():
    assert Segmentation(head=dataclasses.replace(HEAD, num_classes=IGNORED)).num_classes == 255
    with pytest.raises(ConfigError, match=r"masks hold at most 255 classes, but head\.num_classes is 256"):
        Segmentation(head=dataclasses.replace(HEAD, num_classes=IGNORED + 1))


WHOLE = dataclasses.replace(whole_images(0, 4), is_real=np.asarray([True, True, True, False]))
COARSE = RANDOM.normal(size=(4, 4, 6, 4)).astype(np.float32)


@jax.jit
def measured(logits, batch):
    return TASK.measure(DenseLogits(logits=logits), batch)


@jax.jit
def predicted(logits, batch):
    return TASK.predict(DenseLogits(logits=logits), batch)


def at_original_size(logits: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Interpolates logits to the size of the image, then to that of its mask."""
    return interpolated(interpolated(logits, SIZE), tuple(size.tolist()))


def test_whole_images_are_counted_at_their_original_size():
    counts, classes = np.zeros((4, 4), int), range(4)
    for logits, mask, size in zip(COARSE[:3], WHOLE.targets.mask.values, WHOLE.targets.size, strict=False):
        found, label = at_original_size(logits, size).argmax(axis=-1), mask[: size[0], : size[1]]
        counts += [[np.sum((label == row) & (found == column)) for column in classes] for row in classes]
    metric = measured(COARSE, WHOLE)
    np.testing.assert_array_equal(metric.confusion.counts, counts)
    assert int(metric.num_examples) == 3


def test_measured_loss_is_the_mean_over_valid_pixels():
    values = measured(LOGITS, examples().batch).compute()
    expected = sum(plain_sum(LOGITS[row], LABEL[row]) for row in range(2)) / np.sum(LABEL[:2] != IGNORED)
    assert values["loss"] == pytest.approx(expected, rel=1e-5)


def test_prediction_has_the_original_size():
    found = predicted(COARSE, WHOLE)
    np.testing.assert_array_equal(found.size, WHOLE.targets.size)
    for row, (height, width) in enumerate(WHOLE.targets.size):
        logits = at_original_size(COARSE[row], WHOLE.targets.size[row])
        classes, index = logits.argmax(axis=-1), np.asarray(found.index[row])
        np.testing.assert_array_equal(index[:height, :width], classes)
        assert np.all(index[height:] == IGNORED) and np.all(index[:, width:] == IGNORED)
        probability = np.exp(logits).max(axis=-1) / np.exp(logits).sum(axis=-1)
        counts = np.bincount(classes.ravel(), minlength=4)
        np.testing.assert_allclose(found.share[row], counts / classes.size, rtol=1e-6)
        sums = np.bincount(classes.ravel(), probability.ravel(), minlength=4)
        np.testing.assert_allclose(found.confidence[row], sums / np.maximum(counts, 1), rtol=1e-4)


def test_prediction_without_a_size_is_that_of_the_image():
    bare = dataclasses.replace(WHOLE, targets=None)
    found = predicted(COARSE, bare)
    assert found.index.shape == (4, *SIZE) and np.all(np.asarray(found.size) == SIZE)
    np.testing.assert_array_equal(found.index[1], interpolated(COARSE[1], SIZE).argmax(axis=-1))


def test_records_are_the_classes_with_pixels_the_largest_first():
    share, confidence = np.asarray([0.25, 0.0, 0.5, 0.25], np.float32), np.asarray([0.9, 0.0, 0.1, 0.3], np.float32)
    one = ClassMap(index=np.zeros((1, 1), np.uint8), size=np.ones(2, np.int32), share=share, confidence=confidence)
    named = TASK.records(one, class_names=CLASSES, limit=9)
    assert named.name == "segments"
    assert named.items[0] == {"index": 2, "name": "disc", "share": 0.5, "confidence": 0.1}
    assert [item["index"] for item in named.items] == [2, 0, 3]
    assert TASK.records(one, class_names=(), limit=1).items[0]["name"] is None


def test_map_of_labels_has_the_size_of_the_image():
    one = jax.tree.map(lambda leaf: np.asarray(leaf[1]), predicted(COARSE, WHOLE))
    labels = tuple(Label(name=name, colour=(0, 0, 0)) for name in CLASSES)
    drawn = one.label_map(labels)
    assert isinstance(one, Drawable) and drawn.labels == labels
    assert drawn.values.shape == tuple(WHOLE.targets.size[1])
    np.testing.assert_allclose(drawn.shares(), one.share, rtol=1e-6)


def test_segmentation_is_a_task_whose_assessment_is_by_class():
    assert isinstance(TASK, Task)
    collector = TASK.assessment(None).collector(None)
    collector.add(measured(LOGITS, examples().batch))
    assert isinstance(collector.metric, ClassReport)
    with pytest.raises(ConfigError, match="leave out --subset"):
        TASK.assessment(ClassSubset(indices=(0, 1), num_labels=2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("shapes")
    fit(run_in(workdir))
    return workdir


def test_run_learns_shapes_and_ranks_its_average(trained: Path):
    lines = [entry for entry in entries(trained / "metrics.jsonl") if entry["split"] == "eval"]
    assert lines[-1]["loss"] < 0.9 * lines[0]["loss"] and lines[-1]["miou"] > 0.7
    assert lines[-1]["ema_miou"] != lines[-1]["miou"]
    assert {line["num_absent_classes"] for line in lines[1:]} == {1}
    best = max(lines, key=lambda line: line["ema_miou"])["step"]
    assert (trained / "checkpoints" / "best").readlink() == Path(str(best))
    assert "mIoU" in (trained / "train.log").read_text()


def test_evaluation_equals_a_computation_on_its_own(trained: Path):
    kernel = np.asarray(restore_params(trained, program().abstract.params).arrays["head"]["kernel"]).astype(np.float64)
    batch, counts = whole_images(10**6, 11), np.zeros((4, 4), int)
    for image, mask, size in zip(batch.image, batch.targets.mask.values, batch.targets.size, strict=True):
        pixels = (image / 255 - NORMALIZATION.mean) / NORMALIZATION.std
        patches = pixels.reshape(8, 2, 12, 2, 3).transpose(0, 2, 1, 3, 4).reshape(8, 12, 12)
        found, label = at_original_size(patches @ kernel, size).argmax(axis=-1), mask[: size[0], : size[1]]
        np.add.at(counts, (label[label != IGNORED], found[label != IGNORED]), 1)
    right, union = np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts)
    values = [entry for entry in entries(trained / "metrics.jsonl") if entry["split"] == "eval"][-1]
    assert values["miou"] == np.mean(right[union > 0] / union[union > 0])
    assert values["aacc"] == right.sum() / counts.sum()


def test_run_that_is_stopped_ends_with_the_same_bits(trained: Path, tmp_path: Path):
    run = run_in(tmp_path)

    def train(start: int) -> Iterator[Batch]:
        for step, batch in enumerate(run.feed.train(start), start):
            if step == 12:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    with pytest.raises(SystemExit):
        fit(dataclasses.replace(run, feed=dataclasses.replace(run.feed, train=train)))
    fit(run)
    assert trace_of(tmp_path) == trace_of(trained)


def test_canvas_is_larger_than_every_image():
    assert np.all(WHOLE.targets.size < CANVAS)
