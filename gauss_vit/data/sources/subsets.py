"""Some examples of another source: slices of a split, and random splits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, PyTree

from gauss_vit.data.examples import Example, Source, palette_of
from gauss_vit.data.image_sizes import image_size
from gauss_vit.data.sources import slices
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet
from gauss_vit.palette import Palette


@dataclass(frozen=True, kw_only=True)
class SubsetSource:
    """Some examples of another source, in an order of their own.

    Attributes:
      source: where the examples are.
      indices: index in the source of every example.
      split: name of the subset; with `source` it determines `indices`.
    """

    source: Source
    indices: Int[np.ndarray, " examples"]
    split: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the whole source."""
        return self.source.class_names

    @property
    def num_classes(self) -> int:
        """Number of classes of the whole source."""
        return self.source.num_classes

    @property
    def padding_targets(self) -> PyTree:
        """Those of the whole source."""
        return self.source.padding_targets

    @property
    def palette(self) -> Palette:
        """That of the whole source."""
        return palette_of(self.source)

    def file_set(self) -> FileSet:
        """Reads the names and sizes of the files of the whole source."""
        return self.source.file_set()

    def __len__(self) -> int:
        """Number of examples in the subset."""
        return len(self.indices)

    def image_size(self, index: int, *, max_pixels: int) -> tuple[int, int]:
        """Reads the (height, width) in pixels of an upright image, in the way of the source.

        Raises:
          DataError: it cannot be read, or has more pixels than `max_pixels`.
        """
        return image_size(self.source, int(self.indices[index]), max_pixels=max_pixels)

    def __repr__(self) -> str:
        """Name of the subset, with the source that it is taken from."""
        return f"SubsetSource(split={self.split!r}, num_examples={len(self)}, source={self.source!r})"

    def __getitem__(self, index: int) -> Example:
        """Reads one example.

        Raises:
          IndexError: index is not in 0..len-1.
          DataError: as the source does.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}")
        return self.source[int(self.indices[index])]


def take(source: Source, indices: Int[np.ndarray, " examples"], *, split: str) -> SubsetSource:
    """Takes some examples of a source.

    Raises:
      DataError: DATA-EMPTY, there are none.
    """
    if not len(indices):
        raise DataError(f"{source!r}: split {split} is empty", do="widen the slice", code="DATA-EMPTY")
    return SubsetSource(source=source, indices=indices, split=split)


def open_slice(open_named: Callable[[str], Source], split: str) -> Source:
    """Opens a split, or a part of it such as "train[:90%]".

    Args:
      open_named: name of a split to its source.
      split: in the notation of `data.sources.slices`.

    Raises:
      DataError: the split is missing, damaged or empty.
    """
    part = slices.parse(split)
    whole = open_named(part.name)
    return whole if part.is_whole else take(whole, np.asarray(part.indices(len(whole)), np.int64), split=split)
