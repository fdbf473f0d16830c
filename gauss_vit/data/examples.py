"""The protocol of sources of examples."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import PyTree

from gauss_vit.annotations import Annotated
from gauss_vit.files import FileSet
from gauss_vit.palette import Palette


@dataclass(frozen=True, kw_only=True)
class Example:
    """One image, not yet decoded, with what a task learns from it.

    Attributes:
      image: bytes of an image file.
      targets: pytree of NumPy arrays or scalars, of one structure, shapes and types throughout a source, such as
        `gauss_vit.batches.ClassTargets`.
      name: data set, split, record and file, for error messages.
    """

    image: bytes
    targets: PyTree
    name: str


@runtime_checkable
class Source(Protocol):
    """Examples that are addressed by index, the same ones in the same order in every process."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each class index."""
        ...

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        ...

    @property
    def padding_targets(self) -> PyTree:
        """Targets of a slot that no example fills: zeros in the structure, shapes and types of every example's."""
        ...

    def file_set(self) -> FileSet:
        """Reads the names and sizes of the files that hold the examples, and of no others if these can be told."""
        ...

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def __getitem__(self, index: int) -> Example:
        """Reads the example at an index. Called from several threads at once."""
        ...

    def __repr__(self) -> str:
        """Identifies the examples: equal text means the same examples, in every process and at any time."""
        ...


@runtime_checkable
class PaintedSource(Source, Protocol):
    """A source whose classes have colours, as those of masks do."""

    @property
    def palette(self) -> Palette:
        """One colour for each class index; empty where a source that this one is made of has none."""
        ...


def palette_of(source: Source) -> Palette:
    """Returns the colours of a source's classes; none if they have none."""
    return source.palette if isinstance(source, PaintedSource) else ()


@runtime_checkable
class AnnotatedSource(Source, Annotated, Protocol):
    """A source whose objects are annotated as COCO's are."""


@runtime_checkable
class SelectiveSource(Source, Protocol):
    """A source with examples that are measured on and not learned from."""

    def learnable(self) -> Source:
        """Returns the examples that are learned from.

        Raises:
          DataError: there are none.
        """
        ...

    def summary(self) -> tuple[str, ...]:
        """Says in lines what the source holds, and what of it is not learned from, and why."""
        ...


def learnable(source: Source) -> Source:
    """Returns the examples of a source that are learned from.

    Raises:
      DataError: there are none.
    """
    return source.learnable() if isinstance(source, SelectiveSource) else source


@runtime_checkable
class SizedSource(Protocol):
    """What a source also has that can tell the sizes of its images without the rest of its examples."""

    def image_size(self, index: int, *, max_pixels: int) -> tuple[int, int]:
        """Reads the (height, width) in pixels of an upright image. Called from several threads at once.

        Raises:
          DataError: it cannot be read, or has more pixels than `max_pixels`.
        """
        ...
