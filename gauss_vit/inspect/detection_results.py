"""The result of an evaluation by objects for people: tables of precision and recall, and the detections in files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gauss_vit.command_line.table import Alignment, aligned
from gauss_vit.config.schema import JsonValue
from gauss_vit.escaping import escaped
from gauss_vit.inspect.result_files import write_text
from gauss_vit.inspect.result_tables import csv_text, listed_classes, measured, share_cell, share_text
from gauss_vit.metrics.coco import NAMES, TITLES, Kind
from gauss_vit.metrics.detection_report import DetectionReport
from gauss_vit.quantities import counted

CLASSES, DETECTIONS = "classes.csv", "coco_results.json"


def detection_summary(
    result: Mapping[str, JsonValue], report: DetectionReport, *, class_names: Sequence[str]
) -> list[str]:
    """Formats COCO's twelve numbers of boxes and masks, and the precision of all classes or, of many, of the lowest.

    Args:
      result: step, data set, split and metrics.
      report: detections beside the objects.
      class_names: names of the classes in the order of the report.
    """
    scores, counts = report.scores(), report.num_objects()
    numbers: list[Alignment] = ["right"] * len(scores)
    rows = [("", *(TITLES[kind] for kind in scores))]
    rows += [(name, *(share_text(each.values[name]) for each in scores.values())) for name in NAMES]
    precision = class_precision(report)
    lines, shown = listed_classes(next(iter(precision.values())), "AP")
    classes = [("class", "objects", *(f"{TITLES[kind]} AP" for kind in precision))]
    for index in shown:
        found = (share_text(values[index]) for values in precision.values())
        classes.append((escaped(class_names[index]), f"{counts[index]:,}", *found))
    detections, objects = counted(len(report.entries), "detection"), counted(sum(counts), "object")
    return [
        measured(result),
        *aligned(rows, ("left", *numbers)),
        f"{detections} of {objects} in {result['num_examples']:,} images",
        "",
        *lines,
        *aligned(classes, ("left", "right", *numbers)),
        "",
    ]


def write_detections(folder: Path, report: DetectionReport, *, class_names: Sequence[str]) -> None:
    """Writes the precision of every class as `classes.csv`, and the detections as `coco_results.json`.

    Args:
      folder: folder to write to.
      report: detections beside the objects.
      class_names: names of the classes in the order of the report.

    Raises:
      StorageError: a file cannot be written.
    """
    precision = class_precision(report)
    titles = [f"{TITLES[kind]}_ap" for kind in precision]
    rows = [
        [name, count, *map(share_cell, found)]
        for name, count, *found in zip(class_names, report.num_objects(), *precision.values(), strict=True)
    ]
    write_text(folder / CLASSES, csv_text(["class", "num_objects", *titles], rows))
    write_text(folder / DETECTIONS, json.dumps(list(report.entries)))


def class_precision(report: DetectionReport) -> dict[Kind, Float[np.ndarray, " classes"]]:
    """Lists the AP of every class in order, by what is compared; NaN for a class without objects."""
    return {
        kind: np.array([each.class_precision[number] for number in report.category_ids])
        for kind, each in report.scores().items()
    }
