"""A source whose labels and masks hold indices among other classes than its own: in another order, more, or fewer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from gauss_vit.batches import IGNORED, ClassTargets, MaskTargets
from gauss_vit.class_names import listed, match_classes
from gauss_vit.data.examples import Example, Source, palette_of
from gauss_vit.data.image_sizes import image_size
from gauss_vit.errors import DataError
from gauss_vit.files import FileSet
from gauss_vit.palette import Palette, generated_palette


@dataclass(frozen=True, kw_only=True)
class RelabelledSource:
    """The examples of a source with labels among other classes, such as those of a model.

    Attributes:
      source: where the examples are.
      class_names: one name for each of the other classes.
      places: for each class of the source, its index among the others; `IGNORED` in masks whose pixels of that class
        count for nothing.
    """

    source: Source
    class_names: tuple[str, ...]
    places: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        """Number of the other classes."""
        return len(self.class_names)

    @property
    def palette(self) -> Palette:
        """Colours of the source for the classes that it has, and generated ones for the rest."""
        colors = palette_of(self.source)
        if not colors:
            return ()
        color_at = dict(zip(self.places, colors, strict=True))
        return tuple(color_at.get(place, color) for place, color in enumerate(generated_palette(self.num_classes)))

    @property
    def padding_targets(self) -> ClassTargets | MaskTargets:
        """Those of the source, with as many accepted classes as there are others."""
        return self._moved(self.source.padding_targets)

    def file_set(self) -> FileSet:
        """Reads the names and sizes of the files of the source."""
        return self.source.file_set()

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.source)

    def image_size(self, index: int, *, max_pixels: int) -> tuple[int, int]:
        """Reads the (height, width) in pixels of an upright image, in the way of the source.

        Raises:
          DataError: it cannot be read, or has more pixels than `max_pixels`.
        """
        return image_size(self.source, index, max_pixels=max_pixels)

    def __repr__(self) -> str:
        """The source, and where its classes are among the others."""
        return f"RelabelledSource(places={self.places}, num_classes={self.num_classes}, source={self.source!r})"

    def __getitem__(self, index: int) -> Example:
        """Reads one example.

        Raises:
          IndexError, DataError: as the source does.
        """
        example = self.source[index]
        return replace(example, targets=self._moved(example.targets))

    def _moved(self, targets: ClassTargets | MaskTargets) -> ClassTargets | MaskTargets:
        """Converts indices among the source's classes to indices among the others."""
        if isinstance(targets, MaskTargets):
            return replace(targets, mask=replace(targets.mask, values=self._place_of()[targets.mask.values]))
        accepted = targets.accepted
        if accepted is not None:
            accepted = np.zeros(self.num_classes, np.bool_)
            accepted[list(self.places)] = targets.accepted
        return ClassTargets(label=np.int32(self.places[targets.label]), accepted=accepted)

    def _place_of(self) -> UInt8[np.ndarray, " values"]:
        """The new value of every value of a mask; what is ignored stays so."""
        table = np.full(IGNORED + 1, IGNORED, np.uint8)
        table[: len(self.places)] = self.places
        return table


def without_classes(source: Source, ignored: Sequence[str], *, data_set: str) -> Source:
    """Returns a source of masks whose pixels of some classes count for nothing; the other classes close the gaps.

    Args:
      source: examples with masks.
      ignored: names of the classes.
      data_set: name of the data set, for messages.

    Raises:
      DataError: DATA-LABEL, it has no class of such a name, or no other.
    """
    if not ignored:
        return source
    names = source.class_names
    unknown = [name for name in ignored if name not in names]
    kept = tuple(name for name in names if name not in ignored)
    if unknown or not kept:
        reason = f"has no class {listed(unknown)}" if unknown else "has no other classes"
        raise _refusal(
            f"data.ignored_classes: {data_set} {reason} (it has {listed(names)})",
            do="name some of its classes, or leave data.ignored_classes out",
        )
    places = tuple(kept.index(name) if name in kept else IGNORED for name in names)
    return RelabelledSource(source=source, class_names=kept, places=places)


def with_classes(source: Source, class_names: Sequence[str], *, data_set: str, reference: str = "the model") -> Source:
    """Returns a source whose labels or masks hold indices among given classes, matched by name.

    The source may have the classes in another order, or some of them.

    Args:
      source: examples with class labels or masks.
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
            do="give every class a name of its own, in the file that lists them",
        )
    if match.places == tuple(range(len(class_names))):
        return source
    if not isinstance(source.padding_targets, ClassTargets | MaskTargets):
        raise _refusal(
            f"the classes of {data_set} are not in the order of {reference}, and its targets are no labels or masks",
            do=f"give the classes in the order of {reference}",
        )
    return RelabelledSource(source=source, class_names=tuple(class_names), places=match.places)


def _refusal(message: str, *, do: str) -> DataError:
    return DataError(message, do=do, code="DATA-LABEL")
