"""A trained model seen at image sizes and crops that it was not trained at."""

import dataclasses

import jax
from jaxtyping import PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.weights.name_tables import ModelConfig
from gauss_vit.weights.resample_positions import regridded


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resolution:
    """How images are shown to a model.

    Attributes:
      image_size: (height, width) in pixels.
      crop_fraction: size of the central crop as a share of the resized image, in (0, 1].
    """

    image_size: tuple[int, int]
    crop_fraction: float

    def of(self, experiment: Experiment) -> Experiment:
        """Gives the experiment at this resolution.

        Raises:
          ConfigError: the model cannot take the size, or the crop is empty.
        """
        transform = dataclasses.replace(experiment.data.eval_transform, crop_fraction=self.crop_fraction)
        return dataclasses.replace(
            experiment,
            model=dataclasses.replace(experiment.model, image_size=self.image_size),
            data=dataclasses.replace(experiment.data, eval_transform=transform),
        )


def resolutions(experiment: Experiment, *, sizes: str | None, crop: float | None) -> tuple[Resolution, ...]:
    """Reads what the flags ask for; what they leave open is as in the experiment.

    Args:
      experiment: of the run.
      sizes: such as "192,224,256x320": sides of squares, or HEIGHTxWIDTH; None is the experiment's own.
      crop: the crop's share of the resized image; None is the experiment's own.

    Raises:
      ConfigError: a size is not a number of pixels.
    """
    image_sizes = (experiment.model.image_size,) if sizes is None else tuple(map(parse_size, sizes.split(",")))
    fraction = experiment.data.eval_transform.crop_fraction if crop is None else crop
    return tuple(Resolution(image_size=size, crop_fraction=fraction) for size in image_sizes)


def parse_size(text: str) -> tuple[int, int]:
    """Reads a (height, width) in pixels.

    Raises:
      ConfigError: it is something else.

    >>> parse_size("224"), parse_size("256x320")
    ((224, 224), (256, 320))
    """
    sides = text.strip().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) < 10_000 for side in sides):
        raise ConfigError(f"{text!r} is no image size", do="write --image_sizes=192,224,256x320, for example")
    return int(sides[0]), int(sides[-1])


def fitted(params: PyTree, config: ModelConfig, *, target: ModelConfig, abstract: PyTree) -> PyTree:
    """Brings the parameters of a model to another image size.

    Args:
      params: on the devices.
      config: as what they were trained.
      target: the same but for its image size; equal sizes give the parameters themselves.
      abstract: of the target, nested dict of shapes, types and shardings.
    """
    if config == target:
        return params
    resized = regridded(jax.device_get(params), config, target=target)
    return jax.tree.map(lambda leaf, wanted: jax.device_put(leaf, wanted.sharding), resized, abstract)
