"""Turns the bytes of an example into the pixels and targets that a batch holds: decoding and transforms, on the host.

A flip costs the host a third of a resize and a device next to nothing. So training images stay unflipped here, each
marked whether it is to be flipped, and the train step flips bytes. The mark is drawn here, with the other transforms:
it depends on the seed, the epoch and the example alone, not on batch size, devices or where a run resumes.

A transform that follows the flip then finds the image unflipped, and must make of it what, flipped, is its result on
the flipped one. It can where it has a `mirrored`: changes of colour do not look at places, and the operations of
RandAugment and AutoAugment go the other way or, shearing columns, start from the other side. It would not do to leave
them as they are because their signs are drawn evenly: `shear_y` holds the left column in place, never the right one.
Before any other transform, and for `preprocess`, the image is flipped here.
"""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import PyTree, UInt8
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.examples import Example
from gauss_vit.data.images import image as images
from gauss_vit.data.images.geometry import Flip, drawn_moves, has_geometry, move_targets
from gauss_vit.data.images.guided import with_choices
from gauss_vit.data.images.transforms import MirroredTransform, RandomFlip, RandomResizedCrop, Transform
from gauss_vit.errors import ConfigError, DataError, UserError

Pixels = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, kw_only=True)
class View:
    """An example as the transforms leave it.

    Attributes:
      pixels: the image, which may be read-only.
      targets: those of the example, with masks and boxes moved as the pixels were.
      is_flipped: whether pixels, masks and boxes are still to be flipped horizontally.
    """

    pixels: Pixels
    targets: PyTree
    is_flipped: bool


def preprocess(
    example: Example,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    key: int,
    max_pixels: int = images.MAX_PIXELS,
) -> View:
    """Decodes an example's image and applies the transforms, each with random numbers of its own.

    Raises:
      DataError: the image cannot be read or transformed, or has a mask of another size; the example is named.
      ConfigError: the transforms do not end at `image_size`, a library that they need is missing, or one of them is for
        images alone and the targets have masks or boxes.
    """
    view = preprocess_unflipped(example, transforms=transforms, image_size=image_size, key=key, max_pixels=max_pixels)
    if not view.is_flipped:
        return view
    targets = move_targets(view.targets, (Flip(),), image_size=image_size, name=example.name)
    return View(pixels=images.flip_array(view.pixels), targets=targets, is_flipped=False)


def preprocess_for_evaluation(
    example: Example, *, transform: Transform, image_size: tuple[int, int], max_pixels: int = images.MAX_PIXELS
) -> View:
    """Prepares an example as it is in every evaluation, prediction and measurement.

    Raises:
      DataError, ConfigError: as `preprocess`.
    """
    return preprocess(example, transforms=(transform,), image_size=image_size, key=0, max_pixels=max_pixels)


def preprocess_whole(
    example: Example, *, transform: Transform, image_size: tuple[int, int], max_pixels: int = images.MAX_PIXELS
) -> View:
    """Prepares an example for the evaluation of whole images: its masks keep the size of the file.

    Raises:
      DataError: the image cannot be read, has another size than its header said when it was planned as `image_size`, or
        has a mask of another size; the example is named.
    """
    image = images.decode(example.image, name=example.name, max_pixels=max_pixels)
    pixels = np.asarray(transform(image, size=image_size, key=0), np.uint8)
    if pixels.shape[:2] != image_size:
        message = f"{example.name}: the image is {image.height} x {image.width} px, which its header did not say"
        raise DataError(message, do="leave the files alone while they are read", code="DATA-DECODE")
    decoded_size = image.height, image.width
    targets = move_targets(example.targets, (), image_size=decoded_size, name=example.name)
    return View(pixels=pixels, targets=targets, is_flipped=False)


def preprocess_unflipped(
    example: Example,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    key: int,
    max_pixels: int = images.MAX_PIXELS,
) -> View:
    """Preprocesses an example as `preprocess` does, but for the flips that can be made last, as one or none.

    Raises:
      DataError, ConfigError: as `preprocess`.
    """
    keys = tuple(randomness.fold(key, place) for place in range(len(transforms)))
    preprocess_one = _with_geometry if has_geometry(example.targets) else _pixels_alone
    try:
        view = preprocess_one(example, transforms, image_size=image_size, keys=keys, max_pixels=max_pixels)
    except UserError:
        raise
    except ValueError as error:
        raise DataError(f"{example.name}: {error}", do="remove it", code="DATA-DECODE") from error
    if view.pixels.shape[:2] != image_size:
        height, width, _ = view.pixels.shape
        message = f"the transforms made {height} x {width} px of {example.name}, not {image_size}"
        raise ConfigError(message, do="begin data.train_transforms with Resize() or ResizeCenterCrop()")
    return view


def _pixels_alone(
    example: Example,
    transforms: tuple[Transform, ...],
    *,
    image_size: tuple[int, int],
    keys: tuple[int, ...],
    max_pixels: int,
) -> View:
    """Preprocesses an image whose targets have no place in it."""
    if transforms and isinstance(transforms[0], RandomResizedCrop):
        image = _cropped(example, crop=transforms[0], image_size=image_size, key=keys[0], max_pixels=max_pixels)
        transforms, keys = transforms[1:], keys[1:]
    else:
        image = images.decode(example.image, name=example.name, max_pixels=max_pixels)
    pixels, is_flipped = transformed(image, transforms, image_size=image_size, keys=keys)
    return View(pixels=pixels, targets=example.targets, is_flipped=is_flipped)


def _with_geometry(
    example: Example,
    transforms: tuple[Transform, ...],
    *,
    image_size: tuple[int, int],
    keys: tuple[int, ...],
    max_pixels: int,
) -> View:
    """Preprocesses an image with masks or boxes."""
    image = images.decode(example.image, name=example.name, max_pixels=max_pixels)
    decoded_size = image.height, image.width
    transforms = with_choices(transforms, example.targets, size=image_size, keys=keys)
    moves = drawn_moves(transforms, decoded_size, size=image_size, keys=keys)
    pixels, is_flipped = transformed(image, transforms, image_size=image_size, keys=keys)
    if is_flipped:
        moves = (*moves, Flip())  # All flips are among the moves: one more takes back the one that is still to come.
    targets = move_targets(example.targets, moves, image_size=decoded_size, name=example.name)
    return View(pixels=pixels, targets=targets, is_flipped=is_flipped)


def transformed(
    image: Image.Image | Pixels,
    transforms: tuple[Transform, ...],
    *,
    image_size: tuple[int, int],
    keys: tuple[int, ...],
) -> tuple[Pixels, bool]:
    """Applies transforms in order, each with its key.

    Args:
      image: the decoded image.
      transforms: in order.
      image_size: what they are given as the model's size.
      keys: one key for each transform.

    Returns:
      The pixels, and whether they are still to be flipped.
    """
    is_flipped = False
    for transform, key in zip(transforms, keys, strict=True):
        if type(transform) is RandomFlip:
            is_flipped ^= transform.is_drawn(key)
        else:
            image, is_flipped = _applied(transform, image, is_flipped=is_flipped, image_size=image_size, key=key)
    return np.asarray(image, np.uint8), is_flipped


def _cropped(
    example: Example, *, crop: RandomResizedCrop, image_size: tuple[int, int], key: int, max_pixels: int
) -> Image.Image | Pixels:
    """A crop that comes first, cut while decoding, so that the rest of the image need not be converted.

    Returns:
      An array where the resampler takes and gives one, so that no pixel is copied into an image and out again.
    """
    box_of = functools.partial(crop.box, key=key)
    if crop.resampler == "simd":
        pixels = images.decode_array(example.image, name=example.name, max_pixels=max_pixels, box_of=box_of)
        return crop.resized_array(pixels, size=image_size, key=key)
    image = images.decode(example.image, name=example.name, max_pixels=max_pixels, box_of=box_of)
    return crop.resized(image, size=image_size, key=key)


def _applied(
    transform: Transform,
    image: Image.Image | Pixels,
    *,
    is_flipped: bool,
    image_size: tuple[int, int],
    key: int,
) -> tuple[Image.Image, bool]:
    """Applies one transform to an image that is still to be flipped, or not.

    Returns:
      The result, and whether it is still to be flipped.
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    if not is_flipped:
        return transform(image, size=image_size, key=key), False
    if isinstance(transform, MirroredTransform):
        return transform.mirrored(image, size=image_size, key=key), True
    return transform(images.flip(image), size=image_size, key=key), False
