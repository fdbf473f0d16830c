"""The geometry of transforms: moves with drawn parameters, applied to the masks and boxes among an image's targets.

A transform draws its parameters from its key and says with `moves` how it moves places; its pixels are resampled by the
transform itself. Masks are sampled at the nearest pixel. Boxes are clipped to the image after every move; one that
leaves the image becomes a row of zeros in its place. A rotated box is the smallest upright one that holds it.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Bool, Float, Integer, PyTree
from PIL import Image

from gauss_vit.batches import Boxes, Mask, MaskTargets, is_geometry
from gauss_vit.data.images.opencv_resize import resize_nearest
from gauss_vit.errors import ConfigError, DataError

Values = Integer[np.ndarray, "height width"]
MovedValues = Integer[np.ndarray, "new_height new_width"]
Corners = Float[np.ndarray, "boxes 4"]


@runtime_checkable
class Move(Protocol):
    """One change of places. Sizes are (height, width) in pixels."""

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Computes the size of the image after the move."""
        ...

    def move_mask(self, values: Values, *, fill: int) -> MovedValues:
        """Moves a mask; pixels that come in from outside take the value `fill`."""
        ...

    def move_boxes(self, yxyx: Corners, *, size: tuple[int, int]) -> Corners:
        """Moves boxes in an image of that size, without clipping them."""
        ...


@runtime_checkable
class GeometricTransform(Protocol):
    """What a transform also has that masks and boxes can follow."""

    def moves(self, image_size: tuple[int, int], *, size: tuple[int, int], key: int) -> tuple[Move, ...]:
        """Draws how it moves the places of an image of that size; other arguments as for the transform."""
        ...


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A box of the image, which may reach beyond it.

    Attributes:
      yxyx: (top, left, bottom, right) in pixels.
    """

    yxyx: tuple[int, int, int, int]

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the size of the box."""
        del size
        top, left, bottom, right = self.yxyx
        return bottom - top, right - left

    def move_mask(self, values: Values, *, fill: int) -> MovedValues:
        """Copies the box."""
        height, width = values.shape
        top, left, bottom, right = self.yxyx
        cropped = np.full(self.size_after(values.shape), fill, values.dtype)
        inside = values[max(top, 0) : max(min(bottom, height), 0), max(left, 0) : max(min(right, width), 0)]
        first_y, first_x = max(-top, 0), max(-left, 0)
        cropped[first_y : first_y + inside.shape[0], first_x : first_x + inside.shape[1]] = inside
        return cropped

    def move_boxes(self, yxyx: Corners, *, size: tuple[int, int]) -> Corners:
        """Subtracts the top left corner."""
        del size
        top, left, _, _ = self.yxyx
        return yxyx - np.asarray((top, left, top, left), yxyx.dtype)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The whole image at another size.

    Attributes:
      size: (height, width) in pixels.
    """

    size: tuple[int, int]

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the new size."""
        del size
        return self.size

    def move_mask(self, values: Values, *, fill: int) -> MovedValues:
        """Samples the pixel that holds the centre of each new one, with Pillow as images are."""
        del fill
        height, width = self.size
        return np.asarray(Image.fromarray(values).resize((width, height), resample=Image.Resampling.NEAREST))

    def move_boxes(self, yxyx: Corners, *, size: tuple[int, int]) -> Corners:
        """Multiplies by the ratio of the sizes."""
        return yxyx * np.tile(np.asarray(self.size, yxyx.dtype) / np.asarray(size, yxyx.dtype), 2)


@dataclass(frozen=True, kw_only=True)
class ScaledBox:
    """A box of the image at another size, sampled as OpenCV does.

    Attributes:
      scaled_size: (height, width) in pixels of the whole image at the other size.
      yxyx: (top, left, bottom, right) in pixels of the box, inside of it.
    """

    scaled_size: tuple[int, int]
    yxyx: tuple[int, int, int, int]

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the size of the box."""
        return self._box.size_after(size)

    def move_mask(self, values: Values, *, fill: int) -> MovedValues:
        """Samples the pixel that holds the top left corner of each new one (`cv2.INTER_NEAREST`)."""
        del fill
        return resize_nearest(values, size=self.scaled_size, yxyx=self.yxyx)

    def move_boxes(self, yxyx: Corners, *, size: tuple[int, int]) -> Corners:
        """Multiplies by the ratio of the sizes and subtracts the top left corner."""
        scaled = Scale(size=self.scaled_size).move_boxes(yxyx, size=size)
        return self._box.move_boxes(scaled, size=self.scaled_size)

    @property
    def _box(self) -> Crop:
        return Crop(yxyx=self.yxyx)


@dataclass(frozen=True, kw_only=True)
class Flip:
    """The image flipped horizontally."""

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the same size."""
        return size

    def move_mask(self, values: Values, *, fill: int) -> MovedValues:
        """Reverses the columns."""
        del fill
        return values[:, ::-1]

    def move_boxes(self, yxyx: Corners, *, size: tuple[int, int]) -> Corners:
        """Exchanges left and right."""
        y0, x0, y1, x1 = yxyx.T
        return np.stack([y0, size[1] - x1, y1, size[1] - x0], axis=1)


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """The image turned about its centre, at its own size.

    Attributes:
      degrees: counter-clockwise.
    """

    degrees: float

    def size_after(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the same size."""
        return size

    def move_mask(self, values: Values, *, fill: int) -> MovedValues:
        """Turns the mask as Pillow turns images."""
        turned = Image.fromarray(values).rotate(self.degrees, resample=Image.Resampling.NEAREST, fillcolor=fill)
        return np.asarray(turned)

    def move_boxes(self, yxyx: Corners, *, size: tuple[int, int]) -> Corners:
        """Turns the four corners and takes the smallest upright box around them."""
        centre_y, centre_x = size[0] / 2, size[1] / 2
        cos, sin = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        y, x = yxyx[:, [0, 0, 2, 2]] - centre_y, yxyx[:, [1, 3, 1, 3]] - centre_x
        new_y, new_x = centre_y + cos * y - sin * x, centre_x + cos * x + sin * y
        return np.stack([new_y.min(axis=1), new_x.min(axis=1), new_y.max(axis=1), new_x.max(axis=1)], axis=1)


def has_geometry(targets: PyTree) -> bool:
    """Whether there are masks or boxes among the targets."""
    return any(is_geometry(node) for node in jax.tree.leaves(targets, is_leaf=is_geometry))


def require_moves(transforms: Sequence[object], targets: PyTree) -> None:
    """Refuses transforms for images alone where the targets have masks or boxes.

    Raises:
      ConfigError: a transform does not say how it moves places.
    """
    if not has_geometry(targets):
        return
    for transform in transforms:
        _geometric(transform)


def _geometric(transform: object) -> GeometricTransform:
    """Returns the transform itself.

    Raises:
      ConfigError: it does not say how it moves places.
    """
    if isinstance(transform, GeometricTransform):
        return transform
    name = type(transform).__name__
    message = f"{name} is for images alone: it does not move masks and boxes"
    raise ConfigError(message, do=f"remove {name} from the transforms")


def drawn_moves(
    transforms: Sequence[object], image_size: tuple[int, int], *, size: tuple[int, int], keys: Sequence[int]
) -> tuple[Move, ...]:
    """Draws the moves of all transforms, one after the other.

    Args:
      transforms: in order; those for images alone are refused.
      image_size: size of the decoded image.
      size: what the transforms are given as the model's size.
      keys: one key for each transform.

    Raises:
      ConfigError: a transform is for images alone.
    """
    moves: list[Move] = []
    for transform, key in zip(transforms, keys, strict=True):
        drawn = _geometric(transform).moves(image_size, size=size, key=key)
        for move in drawn:
            image_size = move.size_after(image_size)
        moves.extend(drawn)
    return tuple(moves)


def move_targets(targets: PyTree, moves: Sequence[Move], *, image_size: tuple[int, int], name: str) -> PyTree:
    """Moves the masks and boxes among the targets of an image; everything else stays.

    Args:
      targets: those of one example.
      moves: one after the other.
      image_size: size of the image before the first move.
      name: name of the example, for errors.

    Raises:
      DataError: a mask has another size than the image.
    """

    def move(node: PyTree) -> PyTree:
        if isinstance(node, Mask):
            return dataclasses.replace(node, values=_moved_mask(node, moves, image_size=image_size, name=name))
        if isinstance(node, Boxes):
            return Boxes(yxyx=_moved_boxes(node.yxyx, moves, image_size=image_size))
        return node

    return jax.tree.map(move, targets, is_leaf=is_geometry)


def sized(targets: PyTree, image_size: tuple[int, int]) -> PyTree:
    """Gives every mask among the targets the size of the model's images, as transforms do."""

    def resized(node: PyTree) -> PyTree:
        if not isinstance(node, Mask):
            return node
        return dataclasses.replace(node, values=np.zeros(image_size, node.values.dtype))

    return jax.tree.map(resized, targets, is_leaf=is_geometry)


def blank_canvas(targets: MaskTargets, canvas: tuple[int, int]) -> MaskTargets:
    """Returns the targets of padding among masks on canvases of that (height, width)."""
    values = np.zeros(canvas, targets.mask.values.dtype)
    return MaskTargets(mask=dataclasses.replace(targets.mask, values=values), size=np.zeros(2, np.int32))


def on_canvas(targets: MaskTargets, canvas: tuple[int, int]) -> MaskTargets:
    """Puts a mask into the top left corner of a canvas, whose rest takes the mask's `fill`, and notes its size."""
    mask = targets.mask
    height, width = mask.values.shape
    values = np.full(canvas, mask.fill, mask.values.dtype)
    values[:height, :width] = mask.values
    return MaskTargets(mask=dataclasses.replace(mask, values=values), size=np.asarray([height, width], np.int32))


def _moved_mask(mask: Mask, moves: Sequence[Move], *, image_size: tuple[int, int], name: str) -> MovedValues:
    """The values of a mask after the moves.

    Raises:
      DataError: DATA-MASK, it has another size than the image.
    """
    values = mask.values
    if values.shape != image_size:
        (mask_height, mask_width), (height, width) = values.shape, image_size
        message = f"{name}: its mask is {mask_height} x {mask_width} px, the image is {height} x {width} px"
        raise DataError(message, do="remove the example, or give it a mask of its size", code="DATA-MASK")
    for move in moves:
        values = move.move_mask(values, fill=mask.fill)
    return values


def _moved_boxes(yxyx: Corners, moves: Sequence[Move], *, image_size: tuple[int, int]) -> Float[np.ndarray, "boxes 4"]:
    """Boxes after the moves, clipped to the image after each; rows of zeros for those without area."""
    boxes, is_box = _clipped(yxyx.astype(np.float64), image_size)
    for move in moves:
        moved, image_size = move.move_boxes(boxes, size=image_size), move.size_after(image_size)
        boxes, still = _clipped(moved, image_size)
        is_box &= still
    return np.where(is_box[:, None], boxes, 0).astype(np.float32)


def _clipped(yxyx: Corners, image_size: tuple[int, int]) -> tuple[Corners, Bool[np.ndarray, " boxes"]]:
    """Clips boxes to an image.

    Returns:
      The clipped boxes, and whether each has an area.
    """
    clipped = np.clip(yxyx, 0, np.tile(np.asarray(image_size, yxyx.dtype), 2))
    y0, x0, y1, x1 = clipped.T
    return clipped, (y1 > y0) & (x1 > x0)
