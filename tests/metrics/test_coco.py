"""COCO's numbers: closed forms, an independent average precision, and what the evaluation must not do."""

import copy
import math
from typing import Any

import numpy as np
import pytest

from gauss_vit.metrics.coco import NAMES, encode, scores

SIDE, NUM_IMAGES, NUM_CLASSES = 200, 6, 3
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


def mask_of(box: list[float]) -> np.ndarray:
    left, top, width, height = np.round(box).astype(int)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[max(top, 0) : top + height, max(left, 0) : left + width] = True
    return mask


def truth_of(seed: int = 0) -> dict[str, Any]:
    """Rectangles of all sizes, one of them a crowd, and a class without any."""
    random = np.random.default_rng(seed)
    annotations = []
    for index in range(24):
        sides = random.integers(8, 180, size=2)
        corner = random.integers(0, SIDE - sides)
        box = [*corner.tolist(), *sides.tolist()]
        annotations.append(
            {
                "id": index + 1,
                "image_id": index % NUM_IMAGES,
                "category_id": int(random.integers(NUM_CLASSES)),
                "bbox": box,
                "area": float(np.prod(sides)),
                "iscrowd": int(index == 5),
                "segmentation": encode(mask_of(box)),
            }
        )
    return {
        "images": [{"id": index, "height": SIDE, "width": SIDE} for index in range(NUM_IMAGES)],
        "categories": [{"id": index, "name": f"class {index}"} for index in range(NUM_CLASSES + 1)],
        "annotations": annotations,
    }


def detection(annotation: dict[str, Any], score: float, *, shift: float = 0.0) -> dict[str, Any]:
    left, top, width, height = annotation["bbox"]
    box = [left + shift * width, top + shift * height, width, height]
    return {
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "score": score,
        "bbox": box,
        "segmentation": encode(mask_of(box)),
    }


def guesses(truth: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Shifted boxes, some of them twice, some of another class, with scores that do not tell."""
    random = np.random.default_rng(seed)
    found = []
    for annotation in truth["annotations"]:
        for _ in range(random.integers(3)):
            guess = detection(annotation, float(random.random()), shift=float(random.uniform(-0.2, 0.2)))
            guess["category_id"] = int(random.choice([annotation["category_id"], random.integers(NUM_CLASSES)]))
            found.append(guess)
    return found


def overlap(first: list[float], second: list[float], *, is_crowd: int) -> float:
    """Intersection over union, or over the detection's own area in a crowd."""
    corners = [np.array([x, y, x + width, y + height]) for x, y, width, height in (first, second)]
    sides = np.minimum(corners[0][2:], corners[1][2:]) - np.maximum(corners[0][:2], corners[1][:2])
    shared = np.prod(np.maximum(sides, 0))
    areas = first[2] * first[3], second[2] * second[3]
    return shared / (areas[0] if is_crowd else areas[0] + areas[1] - shared)


def average_precision(truth: dict[str, Any], results: list[dict[str, Any]], label: int, threshold: float) -> float:
    """COCO's 101-point interpolation for one class, over all sizes."""
    known = [each for each in truth["annotations"] if each["category_id"] == label]
    num_objects = sum(not each["iscrowd"] for each in known)
    if not num_objects:
        return math.nan
    taken, is_right = set(), []
    for found in sorted((each for each in results if each["category_id"] == label), key=lambda each: -each["score"]):
        here = [each for each in known if each["image_id"] == found["image_id"]]
        pairs = [(overlap(found["bbox"], each["bbox"], is_crowd=each["iscrowd"]), each) for each in here]
        free = [(much, each) for much, each in pairs if not each["iscrowd"] and each["id"] not in taken]
        best = max(free, key=lambda pair: pair[0], default=(0.0, None))
        if best[0] >= threshold:
            taken.add(best[1]["id"])
            is_right.append(True)
        elif not any(each["iscrowd"] and much >= threshold for much, each in pairs):
            is_right.append(False)
    right = np.cumsum(is_right)
    precision = right / np.arange(1, len(right) + 1) if len(right) else np.zeros(0)
    best_after = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(right / num_objects, RECALLS, side="left")
    return float(np.mean([best_after[index] if index < len(best_after) else 0.0 for index in place]))


def test_names_and_perfect_detections():
    truth = truth_of()
    perfect = [detection(each, 1.0) for each in truth["annotations"] if not each["iscrowd"]]
    for kind in ("bbox", "segm"):
        found = scores(truth, perfect, kind=kind)
        assert tuple(found.values) == NAMES
        assert all(found.values[name] == pytest.approx(1) for name in NAMES if name not in ("AR_1", "AR_10"))
        assert math.isnan(found.class_precision[NUM_CLASSES])


@pytest.mark.parametrize("seed", range(5))
def test_precision_is_that_of_a_plain_computation(seed: int):
    truth = truth_of(seed)
    results = guesses(truth, seed)
    found = scores(truth, results, kind="bbox")
    expected = [
        [average_precision(truth, results, label, threshold) for threshold in THRESHOLDS]
        for label in range(NUM_CLASSES)
    ]
    np.testing.assert_allclose(
        [found.class_precision[label] for label in range(NUM_CLASSES)], np.mean(expected, axis=1)
    )
    np.testing.assert_allclose(found.values["AP"], np.nanmean(expected))
    np.testing.assert_allclose(found.values["AP50"], np.nanmean(np.array(expected)[:, 0]))


def test_detections_in_a_crowd_cost_nothing():
    truth = truth_of()
    perfect = [detection(each, 0.5) for each in truth["annotations"] if not each["iscrowd"]]
    (crowd,) = (each for each in truth["annotations"] if each["iscrowd"])
    inside = {**crowd, "bbox": [*crowd["bbox"][:2], 4, 4]}
    found = [*perfect, *[detection(inside, 1.0)] * 3]
    assert scores(truth, found, kind="bbox").values == scores(truth, perfect, kind="bbox").values
    without = {**truth, "annotations": [each for each in truth["annotations"] if not each["iscrowd"]]}
    assert scores(without, found, kind="bbox").values["AP"] < 1


def test_numbers_of_annotations_do_not_matter():
    truth = truth_of()
    results = guesses(truth, 0)
    from_0 = {**truth, "annotations": [{**each, "id": each["id"] - 1} for each in truth["annotations"]]}
    assert scores(from_0, results, kind="bbox").values == scores(truth, results, kind="bbox").values


def test_size_of_a_mask_is_its_own_and_not_that_of_its_box():
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5
    # Disks of less than 32 x 32 pixels, in squares of more.
    disks = [(row - 40) ** 2 + (column - centre) ** 2 < 17**2 for centre in (40, 120)]
    found = [
        {
            "image_id": 0,
            "category_id": 0,
            "score": score,
            "bbox": [centre - 17, 23, 34, 34],
            "segmentation": encode(disk),
        }
        for disk, centre, score in zip(disks, (40, 120), (0.9, 0.95), strict=True)
    ]
    known = {**found[0], "id": 1, "area": float(disks[0].sum()), "iscrowd": 0}
    truth = {"images": [{"id": 0, "height": SIDE, "width": SIDE}], "categories": [{"id": 0, "name": "disk"}]}
    values = scores({**truth, "annotations": [known]}, found, kind="segm").values
    assert disks[0].sum() < 32**2 < 34**2
    assert values["AP_small"] == values["AP"] == pytest.approx(0.5)


def test_no_detections_have_no_precision_and_no_objects_no_value():
    truth = truth_of()
    assert set(scores(truth, [], kind="segm").values.values()) == {0.0}
    nothing = {**truth, "annotations": []}
    assert all(math.isnan(value) for value in scores(nothing, [], kind="bbox").values.values())


def test_nothing_is_changed_or_printed(capsys: pytest.CaptureFixture):
    truth = truth_of()
    results = guesses(truth, 0)
    before = copy.deepcopy((truth, results))
    scores(truth, results, kind="segm")
    assert (truth, results) == before
    assert capsys.readouterr().out == ""


def test_detections_of_unknown_images_are_refused():
    truth = truth_of()
    stray = {**detection(truth["annotations"][0], 1.0), "image_id": 77}
    with pytest.raises(ValueError, match="77"):
        scores(truth, [stray], kind="bbox")
