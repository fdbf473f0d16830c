"""What a source of examples looks like, whatever it reads. Imports neither tfds nor grain."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, kw_only=True)
class Example:
    """One labelled image, not yet decoded.

    Attributes:
      image: the bytes of an image file.
      label: class index, in 0..num_classes-1.
      name: data set, split, record and file, for error messages.
      accepted_labels: every class that counts as right, for sets with several (ReaL); there it may be empty, and the
        image is to be left out of the score. None where `label` is the only one.
    """

    image: bytes
    label: int
    name: str
    accepted_labels: tuple[int, ...] | None = None


@runtime_checkable
class Source(Protocol):
    """Examples that are addressed by index, the same ones in the same order in every process."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each class index."""
        ...

    @property
    def num_classes(self) -> int:
        """How many classes the labels can name."""
        ...

    def __len__(self) -> int:
        """How many examples there are."""
        ...

    def __getitem__(self, index: int) -> Example:
        """The example at an index. Called from several threads at once."""
        ...

    def __repr__(self) -> str:
        """Names the examples stably: equal text means the same examples, in any process and on any day."""
        ...
