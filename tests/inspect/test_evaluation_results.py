"""The tables of an evaluation, of pixels as of images."""

import csv
from pathlib import Path

import numpy as np

from gauss_vit.inspect.evaluation_results import class_table, summary, values, write_confusion
from gauss_vit.metrics.confusion import Confusion
from gauss_vit.metrics.segmentation import SegmentationMetric
from tests.drawing import undrawn

COUNTS = np.asarray([[3000, 1000, 0, 0], [0, 500, 500, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
NAMES = ("sky", "sea", "boat", "reef")
METRIC = SegmentationMetric(
    loss_sum=np.float64(1250), num_examples=np.int64(7), confusion=Confusion(counts=COUNTS.astype(np.int64))
)
RESULT = {"step": 5, "data": "ade20k", "split": "validation", **METRIC.compute()}


def test_summary_counts_pixels():
    title, heading, pixels, miou, macc, loss, _, classes, *rows = (
        line.split() for line in summary(RESULT, METRIC, class_names=NAMES)
    )
    assert title == ["ade20k", "validation,", "step", "5"] and heading == ["correct", "pixels", "share"]
    assert pixels == ["aAcc", "3,500", "5,000", "70.0", "%"]
    # IoU: 3000 / 4000, 500 / 2000, 0 / 500; the reef is absent. Accuracy: 3000 / 4000, 500 / 1000.
    assert miou == ["mIoU", "33.3", "%"] and macc == ["mAcc", "62.5", "%"] and loss == ["loss", "0.25"]
    assert classes == ["class", "correct", "pixels", "IoU", "accuracy", "most", "confused", "with"]
    assert rows[0] == ["sky", "3,000", "4,000", "75.0", "%", "75.0", "%", "sea", "(1,000)"]
    assert rows[2] == ["boat", "0", "0", "0.0", "%"]
    assert rows[3] == [] and rows[5][:4] == ["sky", "sea", "1,000", "4,000"]


def test_class_table_leaves_empty_what_a_class_does_not_have():
    heading, *rows = csv.reader(class_table(NAMES, METRIC).splitlines())
    assert heading == ["class", "num_pixels", "num_correct", "iou", "accuracy", "most_confused_with"]
    assert rows[1] == ["sea", "1000", "500", "0.250000", "0.500000", "boat"]
    assert rows[2:] == [["boat", "0", "0", "0.000000", "", ""], ["reef", "0", "0", "", "", ""]]


def test_matrix_and_shares_are_arrays(tmp_path: Path):
    with undrawn():
        write_confusion(tmp_path, RESULT, METRIC, class_names=NAMES)
    with np.load(tmp_path / "confusion.npz") as arrays:
        assert set(arrays) == {"counts", "iou", "accuracy"}
        np.testing.assert_array_equal(arrays["counts"], COUNTS)
        np.testing.assert_array_equal(arrays["iou"], [0.75, 0.25, 0, np.nan])
    heading, row = (tmp_path / "confused_pairs.csv").read_text().splitlines()[:2]
    assert (heading, row) == ("class,predicted,count,num_pixels", "sky,sea,1000,4000")


def test_values_without_classes_are_listed_by_name():
    title, *rows = values({"step": 5, "data": "depth", "split": "test", "loss": 0.5, "num_patches": 1200, "bad": None})
    assert title == "depth test, step 5"
    assert [row.split() for row in rows] == [["loss", "0.5"], ["num_patches", "1,200"], ["bad", "not", "finite"]]
