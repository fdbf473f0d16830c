"""Preprocesses images with objects: they keep proportions and end at sizes of their own, no larger than their batch.

Flips are made here, not on the device: a batch is padded on the right, and its padding must stay there.
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.examples import Example
from gauss_vit.data.images import image as images
from gauss_vit.data.images.geometry import drawn_moves
from gauss_vit.data.images.object_targets import AnnotatedObjects, moved_objects, require_size, without_objects
from gauss_vit.data.images.preprocess import View, transformed
from gauss_vit.data.images.transforms import Transform
from gauss_vit.errors import ConfigError


def preprocess_learned(
    example: Example,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    padded_size: tuple[int, int],
    key: int,
    max_pixels: int = images.MAX_PIXELS,
) -> View:
    """Decodes an image that is learned from, applies the transforms, and moves its objects.

    Args:
      example: its targets are `AnnotatedObjects`.
      transforms: applied in order.
      image_size: (height, width) in pixels that the transforms are given as the model's.
      padded_size: (height, width) in pixels of the batch, that the image must fit.
      key: where its random numbers come from.
      max_pixels: larger images are refused.

    Raises:
      DataError: the image cannot be read, or has another size than its annotations.
      ConfigError: it does not fit its batch, or a transform is for images alone.
    """
    image, annotated_size = _decoded(example, max_pixels=max_pixels)
    keys = tuple(randomness.fold(key, place) for place in range(len(transforms)))
    moves = drawn_moves(transforms, annotated_size, size=image_size, keys=keys)
    pixels, is_flipped = transformed(image, transforms, image_size=image_size, keys=keys)
    pixels = images.flip_array(pixels) if is_flipped else pixels
    _require_fit(pixels, padded_size, name=example.name)
    targets = moved_objects(example.targets, moves, image_size=annotated_size, name=example.name)
    return View(pixels=pixels, targets=targets, is_flipped=False)


def preprocess_measured(
    example: Example,
    *,
    transform: Transform,
    image_size: tuple[int, int],
    padded_size: tuple[int, int],
    max_pixels: int = images.MAX_PIXELS,
) -> View:
    """Decodes an image whose objects are to be found, and resizes it; its targets tell its sizes alone.

    Args:
      example: its targets are `AnnotatedObjects`.
      transform: gives the image its size.
      image_size: (height, width) in pixels that the transform is given as the model's.
      padded_size: (height, width) in pixels of the batch, that the image must fit.
      max_pixels: larger images are refused.

    Raises:
      DataError: the image cannot be read, or has another size than its annotations.
      ConfigError: it does not fit its batch.
    """
    image, _ = _decoded(example, max_pixels=max_pixels)
    pixels = np.asarray(transform(image, size=image_size, key=0), np.uint8)
    _require_fit(pixels, padded_size, name=example.name)
    return View(pixels=pixels, targets=without_objects(example.targets, size=pixels.shape[:2]), is_flipped=False)


def _decoded(example: Example, *, max_pixels: int) -> tuple[Image.Image, tuple[int, int]]:
    """The upright image with its (height, width), which its annotations are for.

    Raises:
      DataError: it cannot be read, or has another size.
    """
    assert isinstance(example.targets, AnnotatedObjects), "the source gives objects"
    image = images.decode(example.image, name=example.name, max_pixels=max_pixels)
    image_size = image.height, image.width
    require_size(example.targets, image_size, name=example.name)
    return image, image_size


def _require_fit(pixels: UInt8[np.ndarray, "height width 3"], padded_size: tuple[int, int], *, name: str) -> None:
    (height, width), (rows, columns) = pixels.shape[:2], padded_size
    if height > rows or width > columns:
        message = f"the transforms make {height} x {width} px of {name}, and batches have {rows} x {columns} px"
        raise ConfigError(message, do="add a larger size to data.buckets, or resize to less")
