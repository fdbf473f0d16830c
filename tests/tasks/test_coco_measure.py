"""Average precision of detections: closed forms, the same numbers on any devices, and every image once."""

import dataclasses
import math

import numpy as np
import pytest

from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.metrics.coco import NAMES, scores
from gauss_vit.metrics.detection_report import DetectionReport
from gauss_vit.tasks.coco_measure import CocoCollector, CocoMeasure, ImageDetections
from gauss_vit.tasks.detected_objects import DetectedObjects
from gauss_vit.tasks.detection import Detection
from gauss_vit.tasks.evaluator import Best, Evaluator, check_evaluators, describe
from tests.tasks.spelled_objects import CATEGORY_IDS, NUM_IMAGES, TASK, SpelledSource, SpellingHead, measured

SEED = 3
SHIFT = 0.6
"""In pixels of the images: part of the objects is found at the lower overlaps alone."""


@pytest.fixture(scope="module")
def shifted():
    return measured(SpelledSource(SEED), shift=SHIFT)


def test_exact_detections_are_perfect_at_the_size_of_the_file():
    found = measured(SpelledSource(SEED))
    values = found.compute()
    # No rectangle is larger than 32 x 32 pixels.
    names = [f"bbox_{name}" for name in NAMES if not name.endswith(("_medium", "_large"))]
    assert [name for name in values if name.startswith("bbox_")] == names
    for kind in ("bbox", "segm"):
        assert values[f"{kind}_AP"] == values[f"{kind}_AP75"] == values[f"{kind}_AR_100"] == pytest.approx(1)
    assert values["num_detections"] == sum(found.num_objects())
    assert (values["num_examples"], values["num_dropped"]) == (NUM_IMAGES, NUM_IMAGES)
    by_class = [each.class_precision for each in found.scores().values()]
    assert by_class == [dict.fromkeys(CATEGORY_IDS, pytest.approx(1))] * 2


@pytest.mark.parametrize(("num_devices", "batch_size"), [(1, 5), (8, 8), (4, 24)])
def test_numbers_do_not_depend_on_devices_and_batches(shifted, num_devices: int, batch_size: int):
    values = shifted.compute()
    assert 0.1 < values["bbox_AP"] < 0.9
    assert 0.1 < values["segm_AP"] < 0.9
    other = measured(SpelledSource(SEED), shift=SHIFT, num_devices=num_devices, batch_size=batch_size)
    assert other.entries == shifted.entries
    assert other.compute() == values


def test_detections_in_crowds_are_not_false_and_crowds_need_none():
    source = SpelledSource(SEED, crowds=frozenset(range(1, 10)))
    found = measured(source)
    assert found.compute()["bbox_AP"] == pytest.approx(1)
    assert sum(found.num_objects()) == len(found.entries) - len(source.crowds)
    truth = source.truth()
    crowds = [(each["image_id"], [*each["bbox"]]) for each in truth["annotations"] if each["iscrowd"]]
    others = [entry for entry in found.entries if (entry["image_id"], [*entry["bbox"]]) not in crowds]
    assert len(others) == sum(found.num_objects())
    assert scores(truth, others, kind="bbox").values["AP"] == pytest.approx(1)


def test_images_without_detections_are_missed():
    collector = CocoMeasure().collector(SpelledSource(SEED))
    collector.add(nothing_in(100))
    values = collector.compute()
    assert (values["bbox_AP"], values["bbox_AR_100"], values["num_examples"]) == (0, 0, 1)


def test_scores_that_are_not_numbers_are_an_error():
    nothing = nothing_in(100)
    objects = dataclasses.replace(nothing.objects, score=np.full((1, 2), np.nan, np.float32))
    with pytest.raises(CheckpointError, match="for image 100 are not numbers"):
        CocoMeasure().collector(SpelledSource(SEED)).add(dataclasses.replace(nothing, objects=objects))


def test_data_without_objects_have_no_precision():
    nothing = {**SpelledSource(SEED).truth(), "annotations": []}
    values = CocoCollector(nothing, backend="pycocotools").compute()
    assert [name for name in values if name.startswith("bbox_")] == ["bbox_AP"] and math.isnan(values["bbox_AP"])


def test_an_image_counts_once_and_padding_never():
    collector = CocoMeasure().collector(SpelledSource(SEED))
    padding = dataclasses.replace(nothing_in(-1), is_real=np.array([False]))
    for results in (nothing_in(100), padding, padding):
        collector.add(results)
    assert collector.compute()["num_examples"] == 1
    with pytest.raises(ValueError, match="image 100 is evaluated twice"):
        collector.add(nothing_in(100))


@pytest.mark.parametrize(("predicts", "has_masks"), [(False, True), (True, False)])
def test_boxes_alone_are_compared_where_one_side_has_no_masks(predicts: bool, has_masks: bool):
    task = Detection(head=SpellingHead(has_masks=predicts))
    found = measured(SpelledSource(SEED, has_masks=has_masks), task=task)
    assert set(found.scores()) == {"bbox"}
    assert CocoMeasure().describe(found.compute()) == "box AP 100.0 %"


def test_data_without_annotations_are_refused():
    with pytest.raises(ConfigError, match="annotated objects"):
        CocoMeasure().collector(None)


def test_an_evaluator_names_the_best_checkpoint_by_it(shifted):
    evaluator = Evaluator(measure=CocoMeasure())
    check_evaluators((evaluator,), Best(metric="eval/segm_AP", mode="max"))
    assert isinstance(shifted, DetectionReport)
    assert describe(evaluator, TASK, {"bbox_AP": 0.5, "segm_AP": math.nan}) == "box AP 50.0 % mask AP nan %"


def nothing_in(image_id: int) -> ImageDetections:
    """The results of a batch of one image in which nothing was found."""
    objects = DetectedObjects(
        yxyx=np.zeros((1, 2, 4), np.float32),
        score=np.zeros((1, 2), np.float32),
        label=np.zeros((1, 2), np.int32),
        is_real=np.zeros((1, 2), bool),
        masks=None,
        size=np.array([[24, 48]], np.int32),
        num_dropped=np.zeros(1, np.int32),
    )
    return ImageDetections(objects=objects, image_id=np.array([image_id], np.int32), is_real=np.array([True]))
