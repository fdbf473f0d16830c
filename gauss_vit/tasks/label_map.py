"""A label for each pixel of an image, and boxes: how a prediction of places is drawn, whatever task made it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, UInt8

from gauss_vit.palette import Color, Palette, generated_palette

_MOST_LETTERS = 26


@dataclass(frozen=True, kw_only=True)
class Label:
    """What the pixels of one value show.

    Attributes:
      name: name of the class, or of the object.
      colour: colour that it is drawn in.
    """

    name: str
    colour: Color

    @property
    def short_name(self) -> str:
        """The first of several synonyms, and of what is still long its beginning.

        >>> Label(name="sofa, couch, lounge", colour=(0, 0, 0)).short_name
        'sofa'
        """
        first = self.name.split(",")[0].strip()
        return first if len(first) <= _MOST_LETTERS else f"{first[: _MOST_LETTERS - 1]}\u2026"


def class_labels(count: int, *, class_names: Sequence[str], palette: Palette) -> tuple[Label, ...]:
    """Returns the labels of classes; unknown names are numbers, and unknown colours are generated.

    >>> [label.name for label in class_labels(2, class_names=(), palette=())]
    ['class 0', 'class 1']
    """
    names = class_names or [f"class {index}" for index in range(count)]
    colours = palette or generated_palette(count)
    return tuple(Label(name=name, colour=colour) for name, colour in zip(names, colours, strict=True))


@dataclass(frozen=True, kw_only=True)
class LabelledBox:
    """A box in an image, around an object.

    Attributes:
      yxyx: (y0, x0, y1, x1) in pixels from the top left corner.
      label: what the object is.
      share: how sure that is, in 0..1; None of an object that the data name.
    """

    yxyx: tuple[float, float, float, float]
    label: Label
    share: float | None = None

    @property
    def caption(self) -> str:
        """The name of the object, and how sure it is.

        >>> dog = Label(name="dog, hound", colour=(0, 0, 0))
        >>> LabelledBox(yxyx=(0.0, 0.0, 1.0, 1.0), label=dog, share=0.876).caption
        'dog 88 %'
        """
        return self.label.short_name + ("" if self.share is None else f" {100 * self.share:.0f} %")


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """A label for each pixel of an image.

    Attributes:
      values: uint8 [height, width], indices of labels, or 255 (`batches.IGNORED`) where there is none.
      labels: at most 255, in the order of the indices; some may have no pixel, and several the same name.
      boxes: boxes of the objects that the labels are of, in the same order; empty where labels are of classes.
    """

    values: UInt8[np.ndarray, "height width"]
    labels: tuple[Label, ...]
    boxes: tuple[LabelledBox, ...] = ()

    def shares(self) -> Float64[np.ndarray, " labels"]:
        """Computes the share of the image's pixels that each label has, in 0..1.

        >>> few = tuple(Label(name=name, colour=(0, 0, 0)) for name in ("sky", "sea"))
        >>> LabelMap(values=np.array([[1, 1], [0, 255]], np.uint8), labels=few).shares()
        array([0.25, 0.5 ])
        """
        counts = np.bincount(self.values.ravel(), minlength=256)
        return counts[: len(self.labels)] / max(self.values.size, 1)

    def by_share(self) -> tuple[int, ...]:
        """Lists the labels that have pixels, the largest first; of equal ones, the lower index first."""
        shares = self.shares()
        return tuple(index for index in np.argsort(-shares, kind="stable").tolist() if shares[index] > 0)


@runtime_checkable
class Drawable(Protocol):
    """What `Task.predict` computed for one image, as NumPy arrays without the batch axis, if it can be drawn on it."""

    def label_map(self, classes: tuple[Label, ...]) -> LabelMap:
        """Labels the pixels of the image, at its original size if the prediction has it.

        Args:
          classes: name and colour of each class, in the order of the outputs.
        """
        ...
