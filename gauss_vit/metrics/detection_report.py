"""What the tables and files of an evaluation by objects need of a collector."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from gauss_vit.metrics.coco import CocoScores, Entry, Kind


@runtime_checkable
class DetectionReport(Protocol):
    """Detections in a data set beside its objects."""

    @property
    def entries(self) -> Sequence[Entry]:
        """The detections, in COCO's format for results."""
        ...

    @property
    def category_ids(self) -> Sequence[int]:
        """Number of each class among the categories of the data set."""
        ...

    def scores(self) -> Mapping[Kind, CocoScores]:
        """Computes precision and recall of what is compared: boxes, and masks where there are any."""
        ...

    def num_objects(self) -> Sequence[int]:
        """Counts the objects of each class, without crowds."""
        ...
