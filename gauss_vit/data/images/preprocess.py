"""From the bytes of an example to the pixels that the model takes: decoding and the transforms, on the host.

A flip costs the host a third of a resize and a device next to nothing. So training images stay unflipped here, each
with a word of whether it is to be flipped, and the train step flips bytes. What is drawn is drawn here, with the other
transforms: it depends on the seed, the epoch and the example alone, not on batch size, devices or where a run resumes.

A transform that follows the flip then finds the image unflipped, and must make of it what, flipped, is its result on
the flipped one. It can where it has a `mirrored`: changes of colour do not look at places, and the operations of
RandAugment and AutoAugment go the other way or, shearing columns, start from the other side. It would not do to leave
them as they are because their signs are drawn evenly: `shear_y` holds the left column in place, never the right one.
Before any other transform, and for `render`, the image is flipped here.
"""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gauss_vit.data import randomness
from gauss_vit.data.examples import Example
from gauss_vit.data.images import image as images
from gauss_vit.data.images.transforms import MirroredTransform, RandomFlip, RandomResizedCrop, Transform
from gauss_vit.errors import ConfigError, DataError, UserError


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """An image that is ready but for a flip.

    Attributes:
      pixels: the image, which may be read-only.
      is_flipped: whether left and right are still to be exchanged.
    """

    pixels: UInt8[np.ndarray, "height width 3"]
    is_flipped: bool


def render(
    example: Example,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    key: int,
    max_pixels: int = images.MAX_PIXELS,
) -> UInt8[np.ndarray, "height width 3"]:
    """Decodes an example's image and applies the transforms, each with random numbers of its own.

    Raises:
      DataError: the image cannot be read or transformed; the example is named.
      ConfigError: the transforms do not end at `image_size`, or a library that they need is missing.
    """
    rendered = render_unflipped(example, transforms=transforms, image_size=image_size, key=key, max_pixels=max_pixels)
    return images.flip_array(rendered.pixels) if rendered.is_flipped else rendered.pixels


def render_unflipped(
    example: Example,
    *,
    transforms: tuple[Transform, ...],
    image_size: tuple[int, int],
    key: int,
    max_pixels: int = images.MAX_PIXELS,
) -> Rendered:
    """Renders an image as `render` does, but for the flips that can be made last, as one or none.

    Raises:
      DataError, ConfigError: as `render`.
    """
    keys = [randomness.fold(key, place) for place in range(len(transforms))]
    crop = transforms[0] if transforms and isinstance(transforms[0], RandomResizedCrop) else None
    is_flipped = False
    try:
        if crop is None:
            image = images.decode(example.image, name=example.name, max_pixels=max_pixels)
        else:
            image = _cropped(example, crop=crop, image_size=image_size, key=keys[0], max_pixels=max_pixels)
        for place in range(0 if crop is None else 1, len(transforms)):
            transform = transforms[place]
            if type(transform) is RandomFlip:
                is_flipped ^= transform.is_drawn(keys[place])
            else:
                image, is_flipped = _applied(
                    transform, image, is_flipped=is_flipped, image_size=image_size, key=keys[place]
                )
    except UserError:
        raise
    except ValueError as error:
        raise DataError(f"{example.name}: {error}", do="remove it", code="DATA-DECODE") from error
    pixels = np.asarray(image, np.uint8)
    if pixels.shape[:2] != image_size:
        height, width, _ = pixels.shape
        message = f"the transforms made {height} x {width} px of {example.name}, not {image_size}"
        raise ConfigError(message, do="begin data.train_transforms with Resize() or ResizeCenterCrop()")
    return Rendered(pixels=pixels, is_flipped=is_flipped)


def _cropped(
    example: Example, *, crop: RandomResizedCrop, image_size: tuple[int, int], key: int, max_pixels: int
) -> Image.Image | UInt8[np.ndarray, "height width 3"]:
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
    image: Image.Image | UInt8[np.ndarray, "height width 3"],
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
