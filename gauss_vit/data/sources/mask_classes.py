"""The classes of a data set's masks: names, colours, and the stored values that stand for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gauss_vit.batches import IGNORED, Mask, MaskTargets
from gauss_vit.data.images.header import read_header
from gauss_vit.data.images.mask import StoredMask, classes_of, decode_mask, unpacked, upright_mask
from gauss_vit.errors import DataError
from gauss_vit.palette import Palette, generated_palette

MAX_CLASSES = IGNORED
"""A mask has a byte for each pixel, one value of which is ignored."""


@dataclass(frozen=True, kw_only=True)
class MaskClasses:
    """What masks hold.

    Attributes:
      names: one for each class index.
      palette: one colour for each class index.
      class_of_value: class index, or `IGNORED`, by the value that a mask of indices stores.
      class_of_color: class index, or `IGNORED`, by the colour, as a packed number, that a mask in colours stores; empty
        where masks are not in colours, so that those stored in three equal channels hold indices.
      hint: what to do about a mask in colours that stand for no class.
    """

    names: tuple[str, ...]
    palette: Palette
    class_of_value: Mapping[int, int]
    class_of_color: Mapping[int, int] = field(default_factory=dict)
    hint: str = "write masks of class indices"

    def read(self, mask: bytes, *, image: bytes, name: str, max_pixels: int) -> MaskTargets:
        """Decodes the mask of an image: upright as the image is, with class indices.

        Args:
          mask: bytes of the mask's file.
          image: bytes of the image's file, of which the header is read.
          name: name of the mask in error messages.
          max_pixels: larger masks and images are refused by their headers.

        Raises:
          DataError: one of the two cannot be read; DATA-MASK, they do not fit; DATA-LABEL, a value stands for no class.
        """
        header = read_header(image, name=name, max_pixels=max_pixels)
        stored = decode_mask(mask, name=name, max_pixels=max_pixels)
        return MaskTargets(mask=Mask(values=upright_mask(self._classes_of(stored, name=name), header, name=name)))

    def _classes_of(self, stored: StoredMask, *, name: str) -> np.ndarray:
        if stored.is_color and self.class_of_color:
            return classes_of(stored.values, self.class_of_color, name=name, shown=_shown_color)
        values = stored.grey_levels() if stored.is_color else stored.values
        if values is None:
            message = f"{name}: the mask stores colours, and none are known that stand for classes"
            raise DataError(message, do=self.hint, code="DATA-LABEL")
        return classes_of(values, self.class_of_value, name=name, shown=_shown_value)


def indexed(names: Sequence[str], *, first: int, ignored: Sequence[int], palette: Palette = ()) -> MaskClasses:
    """Returns classes that consecutive values stand for.

    Args:
      names: the classes in the order of their values.
      first: value of the first one.
      ignored: values of pixels that count for nothing.
      palette: colours of the classes; generated where there are none.
    """
    return MaskClasses(
        names=tuple(names),
        palette=palette or generated_palette(len(names)),
        class_of_value=dict.fromkeys(ignored, IGNORED) | {first + index: index for index in range(len(names))},
    )


def padding_targets() -> MaskTargets:
    """Returns the targets of a slot that no example fills, whose mask takes the size of the batch's."""
    return MaskTargets(mask=Mask(values=np.zeros((1, 1), np.uint8)))


def _shown_value(value: int) -> str:
    return f"the value {value}"


def _shown_color(number: int) -> str:
    return f"the colour {unpacked(number)}"
