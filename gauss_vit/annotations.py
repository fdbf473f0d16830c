"""The ground truth of a data set that an evaluation reads on the host, where batches do not hold it."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

Annotations = Mapping[str, Any]
"""Annotations in COCO's format for instances: lists of `images`, `categories` and `annotations`."""


@runtime_checkable
class Annotated(Protocol):
    """What a source of examples also has that knows the annotations of its images."""

    def truth(self) -> Annotations:
        """Returns what detections of its images, and of no others, are measured against, crowds included.

        `images` have `id`, `height`, `width` and `file_name`; `categories` `id` and `name`; `annotations` `id`,
        `image_id`, `category_id`, `bbox` (x, y, width, height in pixels), `area`, `iscrowd` and, where the source
        has masks, `segmentation`. The categories are in the order of the classes, with the ids of the annotation file.
        """
        ...


def annotated(source: object) -> Annotated | None:
    """Returns a source that has annotations; None for any other."""
    return source if isinstance(source, Annotated) else None
