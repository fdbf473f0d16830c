"""Labelled areas and boxes of an image, packed for the page: what the model predicts, and what the data say."""

from dataclasses import dataclass

import numpy as np

from gauss_vit.batches import IGNORED
from gauss_vit.inspect.report.packing import PackedArray, pack
from gauss_vit.palette import Color
from gauss_vit.tasks.label_map import LabelMap


@dataclass(frozen=True, kw_only=True)
class ReportAreas:
    """The areas of one image.

    Attributes:
      title: where they are from, such as "predicted".
      labels: short name and colour of each label that has pixels, the largest first.
      shares: share of the image's pixels that each has, in 0..1.
      values: uint8 [height, width], indices of `labels`; 255 where there is none.
      boxes: caption, colour and (y0, x0, y1, x1) in pixels of each object, the most important first; empty where labels
        are of classes.
    """

    title: str
    labels: tuple[tuple[str, Color], ...]
    shares: tuple[float, ...]
    values: PackedArray
    boxes: tuple[tuple[str, Color, tuple[float, ...]], ...] = ()


def report_areas(label_map: LabelMap, *, title: str) -> ReportAreas:
    """Packs a label map, with the labels that have pixels alone, and its boxes; objects of one class have one label."""
    merged = _merged(label_map)
    present, shares = merged.by_share(), merged.shares()
    places = np.full(256, IGNORED, np.uint8)
    places[list(present)] = np.arange(len(present))
    return ReportAreas(
        title=title,
        labels=tuple((merged.labels[index].short_name, merged.labels[index].colour) for index in present),
        shares=tuple(float(f"{shares[index]:.5g}") for index in present),
        values=pack(places[merged.values]),
        boxes=tuple(
            (box.caption, box.label.colour, tuple(round(side, 1) for side in box.yxyx)) for box in label_map.boxes
        ),
    )


def _merged(label_map: LabelMap) -> LabelMap:
    """Gives equal labels one index."""
    labels = tuple(dict.fromkeys(label_map.labels))
    places = np.full(256, IGNORED, np.uint8)
    places[: len(label_map.labels)] = [labels.index(label) for label in label_map.labels]
    return LabelMap(values=places[label_map.values], labels=labels)
