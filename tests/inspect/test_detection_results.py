"""The tables of an evaluation by objects, and the files that other programs read."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.inspect.detection_results import class_precision, detection_summary, write_detections
from gauss_vit.metrics.coco import NAMES, scores
from tests.tasks.spelled_objects import NUM_IMAGES, SpelledSource, measured

SOURCE = SpelledSource(3)
CLASSES = ("mug", "owl\n", "key")


@pytest.fixture(name="report", scope="module")
def fixture_report():
    return measured(SOURCE, shift=0.6)


def test_summary_has_twelve_numbers_of_boxes_and_masks(report):
    result = {"step": 5, "data": "coco", "split": "val", **report.compute()}
    title, heading, *rows = [line.split() for line in detection_summary(result, report, class_names=CLASSES)]
    assert title == ["coco", "val,", "step", "5"] and heading == ["box", "mask"]
    assert [row[0] for row in rows[:12]] == list(NAMES)
    boxes, masks = (report.scores()[kind].values for kind in ("bbox", "segm"))
    assert rows[0] == ["AP", f"{100 * boxes['AP']:.1f}", "%", f"{100 * masks['AP']:.1f}", "%"]
    num = sum(report.num_objects())
    assert " ".join(rows[12]) == f"{num} detections of {num} objects in {NUM_IMAGES} images"
    assert rows[14] == ["class", "objects", "box", "AP", "mask", "AP"]
    assert [row[0] for row in rows[15:18]] == ["mug", "owl\\n", "key"]


def test_files_hold_every_class_and_detection(report, tmp_path: Path):
    write_detections(tmp_path, report, class_names=CLASSES)
    heading, *rows = csv.reader((tmp_path / "classes.csv").read_text().splitlines())
    assert heading == ["class", "num_objects", "box_ap", "mask_ap"]
    assert [int(row[-3]) for row in rows] == list(report.num_objects())
    detections = json.loads((tmp_path / "coco_results.json").read_text())
    assert detections == report.entries
    # What was measured is what the file holds.
    again = scores(SOURCE.truth(), detections, kind="segm")
    assert again.values == report.scores()["segm"].values


def test_a_class_without_objects_has_no_precision():
    truth = SOURCE.truth()
    categories = [*truth["categories"], {"id": 99, "name": "yak"}]

    @dataclasses.dataclass(frozen=True)
    class More(SpelledSource):
        def truth(self):
            return {**truth, "categories": categories}

    report = measured(More(3))
    assert all(math.isnan(values[3]) and not np.isnan(values[:3]).any() for values in class_precision(report).values())
