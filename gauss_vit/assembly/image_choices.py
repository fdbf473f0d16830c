"""A named model for other images than its own: of another size, or prepared in another way, as flags ask."""

import dataclasses
from typing import Literal

import jax

from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.assembly.resolutions import at_size, parse_size
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.errors import ConfigError
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.weights.resample_positions import regridded

Size = tuple[int, int]
"""Image size (height, width) in pixels."""


def as_asked(named: NamedModel, invocation: Invocation) -> NamedModel:
    """Returns a model for images as `--image_size`, `--crop`, `--interpolation`, `--mean` and `--std` ask for.

    Every choice that is given is added to its name, so that results are never mixed up.

    Raises:
      ConfigError: a flag is wrong, or the model cannot take the size.
    """
    chosen = prepared(named, invocation)
    if "image_size" in invocation.options and invocation.is_given("image_size"):
        return resized(chosen, parse_size(invocation.text("image_size")))
    return chosen


def sizes_asked(invocation: Invocation) -> tuple[Size, ...]:
    """Reads `--image_sizes`; empty if it is not given.

    Raises:
      ConfigError: one is not an image size, or is given twice.
    """
    if not invocation.is_given("image_sizes"):
        return ()
    sizes = tuple(map(parse_size, invocation.text("image_sizes").split(",")))
    if len(set(sizes)) < len(sizes):
        raise ConfigError("--image_sizes names a size twice", do="leave one of them out")
    return sizes


def resized(named: NamedModel, size: Size) -> NamedModel:
    """Returns a model for another image size, with positions resampled as timm does, under the name MODEL_size-384.

    Raises:
      ConfigError: the model cannot take the size.
    """
    if size == named.config.image_size:
        return named
    config = at_size(named.config, size)
    params = regridded(jax.device_get(named.params), named.config, target=config)
    return dataclasses.replace(
        named, name=f"{named.name}_size-{size_text(size)}", config=config, params=jax.device_put(params)
    )


def size_text(size: Size) -> str:
    """Writes an image size as flags have it.

    >>> size_text((224, 224)), size_text((256, 320))
    ('224', '256x320')
    """
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


def prepared(named: NamedModel, invocation: Invocation) -> NamedModel:
    """Returns a model whose images are prepared as `--crop`, `--interpolation`, `--mean` and `--std` say.

    Raises:
      ConfigError: a flag is wrong.
    """
    given = [name for name in ("crop", "interpolation", "mean", "std") if invocation.is_given(name)]
    if not given:
        return named
    known = named.transform
    transform = ResizeCenterCrop(
        crop_fraction=float(invocation.text("crop")) if "crop" in given else known.crop_fraction,
        interpolation=_filter(invocation.text("interpolation")) if "interpolation" in given else known.interpolation,
        stretches=known.stretches,
    )
    usual = named.normalization
    normalization = Normalization(
        mean=_three(invocation, "mean") if "mean" in given else usual.mean,
        std=_three(invocation, "std") if "std" in given else usual.std,
    )
    suffix = "".join(f"_{name}-{invocation.text(name).replace(' ', '').replace(',', '-')}" for name in given)
    return dataclasses.replace(named, name=named.name + suffix, eval_transform=transform, normalization=normalization)


def _filter(text: str) -> Literal["bicubic", "bilinear"]:
    return "bilinear" if text == "bilinear" else "bicubic"


def _three(invocation: Invocation, name: str) -> tuple[float, float, float]:
    """Reads a number for each of red, green and blue, or one for all of them.

    Raises:
      ConfigError: the text is something else.
    """
    words = invocation.text(name).split(",")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:
        raise ConfigError(
            f"expected --{name} as R,G,B and got {invocation.text(name)!r}", do=f"write --{name}=0.485,0.456,0.406"
        )
    red, green, blue = numbers
    return red, green, blue
