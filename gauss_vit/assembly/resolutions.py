"""Evaluation of a trained model at other image sizes and crops than it was trained at."""

import dataclasses

from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.models.backbone import BackboneConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resolution:
    """The size and crop of evaluation images.

    Attributes:
      image_size: (height, width) in pixels.
      crop_fraction: side of the central crop as a share of the resized image, in (0, 1].
    """

    image_size: tuple[int, int]
    crop_fraction: float

    def of(self, experiment: Experiment) -> Experiment:
        """Returns the experiment at this resolution.

        Raises:
          ConfigError: the model cannot take the size, the crop is empty, or images are evaluated whole.
        """
        transform = dataclasses.replace(_cropping(experiment), crop_fraction=self.crop_fraction)
        return dataclasses.replace(
            experiment,
            model=at_size(experiment.model, self.image_size),
            data=dataclasses.replace(experiment.data, eval_transform=transform),
        )


def at_size(config: BackboneConfig, image_size: tuple[int, int]) -> BackboneConfig:
    """Returns a backbone's config for another image size.

    Gaussians of queries stay the functions that were trained: relative to the grid of the given config, unless they
    name one. In windows that is the window, which stays as it is.

    Raises:
      ConfigError: the model cannot take the size.
    """
    if image_size == config.image_size:
        return config
    gaussian, (first, *others) = config.position.query_gaussian, config.stages()
    changed = dataclasses.replace(config, image_size=image_size)
    if gaussian is None or gaussian.reference is not None or others:
        return changed
    kept = dataclasses.replace(gaussian, reference=first.window)
    return dataclasses.replace(changed, position=dataclasses.replace(config.position, query_gaussian=kept))


def resolutions(experiment: Experiment, *, sizes: str | None, crop: float | None) -> tuple[Resolution, ...]:
    """Reads resolutions from flags, with the experiment's values as defaults.

    Args:
      experiment: experiment of the run.
      sizes: image sizes such as "192,224,256x320": sides of squares, or HEIGHTxWIDTH; None for the experiment's.
      crop: share of the resized image that is cropped; None for the experiment's.

    Raises:
      ConfigError: a size is not a number of pixels, or images are evaluated whole.
    """
    image_sizes = (experiment.model.image_size,) if sizes is None else tuple(map(parse_size, sizes.split(",")))
    fraction = _cropping(experiment).crop_fraction if crop is None else crop
    return tuple(Resolution(image_size=size, crop_fraction=fraction) for size in image_sizes)


def _cropping(experiment: Experiment) -> ResizeCenterCrop:
    """The evaluation transform, which gives images the model's size.

    Raises:
      ConfigError: it keeps images whole.
    """
    transform = experiment.data.eval_transform
    if isinstance(transform, ResizeCenterCrop):
        return transform
    name = type(transform).__name__
    raise ConfigError(f"{name} evaluates whole images, which --image_sizes does not", do="leave out --image_sizes")


def parse_size(text: str) -> tuple[int, int]:
    """Reads a (height, width) in pixels.

    Raises:
      ConfigError: the text is not an image size.

    >>> parse_size("224"), parse_size("256x320")
    ((224, 224), (256, 320))
    """
    sides = text.strip().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) < 10_000 for side in sides):
        raise ConfigError(f"{text!r} is not an image size", do="write --image_sizes=192,224,256x320, for example")
    return int(sides[0]), int(sides[-1])
