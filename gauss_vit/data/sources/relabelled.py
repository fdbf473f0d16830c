"""A source whose labels are indices among other classes than its own: in another order, or more of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gauss_vit.batches import ClassTargets
from gauss_vit.class_names import listed, match_classes
from gauss_vit.data.examples import Example, Source
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet


@dataclass(frozen=True, kw_only=True)
class RelabelledSource:
    """The examples of a source with labels among the classes of a model.

    Attributes:
      source: where the examples are.
      class_names: one name for each class of the model.
      places: for each class of the source, its index among those of the model.
    """

    source: Source
    class_names: tuple[str, ...]
    places: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes of the model."""
        return len(self.class_names)

    @property
    def padding_targets(self) -> ClassTargets:
        """Those of the source, with as many accepted classes as the model has."""
        return self._moved(self.source.padding_targets)

    def file_set(self) -> FileSet:
        """Reads the names and sizes of the files of the source."""
        return self.source.file_set()

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.source)

    def __repr__(self) -> str:
        """The source, and where its classes are among those of the model."""
        return f"RelabelledSource(places={self.places}, num_classes={self.num_classes}, source={self.source!r})"

    def __getitem__(self, index: int) -> Example:
        """Reads one example.

        Raises:
          IndexError, DataError: as the source does.
        """
        example = self.source[index]
        return replace(example, targets=self._moved(example.targets))

    def _moved(self, targets: ClassTargets) -> ClassTargets:
        """Converts indices among the source's classes to indices among the model's."""
        accepted = targets.accepted
        if accepted is not None:
            accepted = np.zeros(self.num_classes, np.bool_)
            accepted[list(self.places)] = targets.accepted
        return ClassTargets(label=np.int32(self.places[targets.label]), accepted=accepted)


def with_classes(source: Source, class_names: Sequence[str], *, data_set: str, reference: str = "the model") -> Source:
    """Returns a source whose labels are indices among given classes, matched by name.

    The source may have the classes in another order, or some of them.

    Args:
      source: examples with class labels.
      class_names: classes of the reference.
      data_set: name of the data set, for messages.
      reference: what the classes are those of, for messages.

    Raises:
      DataError: DATA-LABEL, it has other classes, or a name that several classes have.
    """
    match = match_classes(source.class_names, class_names)
    if match.unknown:
        raise _refusal(
            f"{len(match.unknown)} of the {source.num_classes} classes of {data_set} are not among the"
            f" {len(class_names)} of {reference}: {listed(match.unknown)} (it has {listed(tuple(class_names))})",
            do=f"give data with the classes of {reference} under the same names, or train on this data",
        )
    if match.ambiguous:
        raise _refusal(
            f"the classes of {data_set} are not in the order of {reference}, and several are named"
            f" {listed(match.ambiguous)}",
            do="give every class a name of its own, in a labels.json for a folder of images",
        )
    if match.places == tuple(range(len(class_names))):
        return source
    if not isinstance(source.padding_targets, ClassTargets):
        raise _refusal(
            f"the classes of {data_set} are not in the order of {reference}, and its targets are not class labels",
            do=f"give the classes in the order of {reference}",
        )
    return RelabelledSource(source=source, class_names=tuple(class_names), places=match.places)


def _refusal(message: str, *, do: str) -> DataError:
    return DataError(message, do=do, code="DATA-LABEL")
