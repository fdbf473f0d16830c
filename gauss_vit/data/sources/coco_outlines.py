"""The segmentations of many annotations in few arrays: a corner takes 16 bytes and a run 4, whatever objects there are.

Those of COCO's training split, 41 million numbers, take 330 MB; as Python's lists they would take two gigabytes.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from gauss_vit.data.images.outlines import Outline, Polygons, Runs, decoded_runs

_FEWEST_NUMBERS = 6
_LARGEST_COORDINATE = 2.0**15
_LARGEST_RUN = 2**32 - 1


@runtime_checkable
class OutlineTable(Protocol):
    """One outline, or none, for each annotation."""

    @property
    def is_missing(self) -> Bool[np.ndarray, " annotations"]:
        """Which annotations have none."""
        ...

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """What is held of the outlines, to tell them from others."""
        ...

    def of_image(self, places: Int[np.ndarray, " places"]) -> tuple[Outline | None, ...]:
        """Returns the outlines of annotations that are all of one image. Called from several threads at once.

        Raises:
          DataError: they cannot be read.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Outlines:
    """One outline, or none, for each annotation.

    Attributes:
      numbers: coordinates of all polygons, one after the other, x and y by turns.
      polygon_ends: for each polygon, the place in `numbers` after its last one.
      last_polygons: for each annotation, the number of polygons up to its last one.
      runs: run lengths of all annotations, one after the other.
      last_runs: for each annotation, the number of runs up to its last one.
      run_sizes: for each annotation, the (height, width) of the image that its run lengths are for; zeros for others.
    """

    numbers: Float[np.ndarray, " numbers"]
    polygon_ends: Int[np.ndarray, " polygons"]
    last_polygons: Int[np.ndarray, " annotations"]
    runs: UInt32[np.ndarray, " runs"]
    last_runs: Int[np.ndarray, " annotations"]
    run_sizes: Int[np.ndarray, "annotations 2"]

    def __getitem__(self, place: int) -> Outline | None:
        """Returns the outline of an annotation."""
        first, last = _span(self.last_polygons, place)
        if last > first:
            spans = (_span(self.polygon_ends, polygon) for polygon in range(first, last))
            return Polygons(points=tuple(self.numbers[start:stop] for start, stop in spans))
        first, last = _span(self.last_runs, place)
        return Runs(lengths=self.runs[first:last]) if last > first else None

    def of_image(self, places: Int[np.ndarray, " places"]) -> tuple[Outline | None, ...]:
        """Returns the outlines of annotations, of one image or of several."""
        return tuple(self[place] for place in places.tolist())

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """The numbers of all polygons and run lengths, and whose they are."""
        return self.numbers, self.polygon_ends, self.last_polygons, self.runs, self.last_runs

    @property
    def is_missing(self) -> Bool[np.ndarray, " annotations"]:
        """Which annotations have none."""
        return (np.diff(self.last_polygons, prepend=0) == 0) & (np.diff(self.last_runs, prepend=0) == 0)

    def faulty(self, sizes: Int[np.ndarray, "annotations 2"]) -> tuple[int, str] | None:
        """Finds what only the whole shows: coordinates that are far away, and run lengths of another image's size.

        Args:
          sizes: for each annotation, the (height, width) in pixels of its image.

        Returns:
          The place of the first such annotation, and what is wrong with it; None if there is none.
        """
        if self.numbers.size and not max(-self.numbers.min(), self.numbers.max()) <= _LARGEST_COORDINATE:
            number = int(np.flatnonzero(~(np.abs(self.numbers) <= _LARGEST_COORDINATE))[0])
            polygon = np.searchsorted(self.polygon_ends, number, side="right")
            place = int(np.searchsorted(self.last_polygons, polygon, side="right"))
            return place, f"a polygon has the coordinate {self.numbers[number]}"
        has_runs = np.diff(self.last_runs, prepend=0) > 0
        is_other = has_runs & (self.run_sizes != sizes).any(axis=1)
        if is_other.any():
            place = int(np.flatnonzero(is_other)[0])
            return (
                place,
                f"its run lengths are for {_shown(self.run_sizes[place])}, its image is {_shown(sizes[place])}",
            )
        sums = np.diff(np.concatenate([[0], np.cumsum(self.runs, dtype=np.int64)])[self.last_runs], prepend=0)
        is_wrong = has_runs & (sums != np.prod(sizes, axis=1, dtype=np.int64))
        if is_wrong.any():
            place = int(np.flatnonzero(is_wrong)[0])
            return place, f"its run lengths are {sums[place]:,} pixels together, its image is {_shown(sizes[place])}"
        return None


class OutlineWriter:
    """Collects outlines, one annotation after the other."""

    def __init__(self) -> None:
        self._numbers, self._polygon_ends, self._last_polygons = array("d"), array("q"), array("q")
        self._runs, self._last_runs, self._run_sizes = array("I"), array("q"), array("q")

    def add(self, segmentation: object) -> None:
        """Adds the `segmentation` of an annotation; polygons of fewer than three corners are left out.

        Raises:
          ValueError: it is not polygons, run lengths, nothing at all or an empty list.
        """
        height = width = 0
        if isinstance(segmentation, list):
            for polygon in segmentation:
                self._add_polygon(polygon)
        elif isinstance(segmentation, dict):
            height, width = _size(segmentation.get("size"))
            self._runs.extend(_runs(segmentation.get("counts")))
        elif segmentation is not None:
            raise ValueError("its segmentation is neither polygons nor run lengths")
        self._last_polygons.append(len(self._polygon_ends))
        self._last_runs.append(len(self._runs))
        self._run_sizes.extend((height, width))

    def finish(self) -> Outlines:
        """Returns what was collected, without copying it."""
        return Outlines(
            numbers=np.frombuffer(self._numbers, np.float64),
            polygon_ends=np.frombuffer(self._polygon_ends, np.int64),
            last_polygons=np.frombuffer(self._last_polygons, np.int64),
            runs=np.frombuffer(self._runs, np.uint32),
            last_runs=np.frombuffer(self._last_runs, np.int64),
            run_sizes=np.frombuffer(self._run_sizes, np.int64).reshape(-1, 2),
        )

    def _add_polygon(self, polygon: object) -> None:
        if not isinstance(polygon, list):
            raise ValueError("its polygons are not lists of numbers")
        if len(polygon) % 2:
            raise ValueError(f"a polygon has {len(polygon)} numbers, which are no pairs of x and y")
        if len(polygon) < _FEWEST_NUMBERS:
            return
        try:
            self._numbers.extend(polygon)
        except (TypeError, OverflowError) as error:
            raise ValueError("its polygons are not lists of numbers") from error
        self._polygon_ends.append(len(self._numbers))


def _runs(counts: object) -> Sequence[int]:
    """The run lengths of a segmentation, compressed or not.

    Raises:
      ValueError: they are none.
    """
    runs = decoded_runs(counts).tolist() if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and 0 <= run <= _LARGEST_RUN for run in runs):
        raise ValueError("its counts are no run lengths")
    return runs


def _size(value: object) -> tuple[int, int]:
    """The (height, width) of run lengths.

    Raises:
      ValueError: it is none.
    """
    if isinstance(value, list) and len(value) == 2 and all(type(side) is int and 0 < side < 2**31 for side in value):
        return value[0], value[1]
    raise ValueError("the size of its run lengths is not [height, width]")


def _span(ends: Int[np.ndarray, " parts"], place: int) -> tuple[int, int]:
    """Where a part begins and ends."""
    return int(ends[place - 1]) if place else 0, int(ends[place])


def _shown(size: Int[np.ndarray, "2"]) -> str:
    return f"{size[0]} x {size[1]} px"
