"""Images as a model sees them, before normalisation: from files, or from a run's evaluation split."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gauss_vit.assembly import feeds
from gauss_vit.assembly.named_model import NamedModel, run_experiment
from gauss_vit.batches import Batch
from gauss_vit.data.images.image import load_image, open_images, to_array
from gauss_vit.data.sources import splits
from gauss_vit.experiment import Experiment

_DEFAULT_COUNT = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photo:
    """An image as the model sees it.

    Attributes:
      name: name of its file, or its place in the evaluation split.
      pixels: uint8 [height, width, 3], of the model's size.
    """

    name: str
    pixels: UInt8[np.ndarray, "height width 3"]


def pixels_of(named: NamedModel, image: Path | Photo) -> UInt8[np.ndarray, "height width 3"]:
    """Returns an image at the model's size; a file is read and resized.

    Raises:
      DataError: the file is damaged.
    """
    if isinstance(image, Photo):
        return image.pixels
    return to_array(named.transform(load_image(image), size=named.config.image_size))


def photos_in(folder: Path, named: NamedModel, *, at_most: int | None) -> tuple[Photo, ...]:
    """Reads the first images of a folder.

    Raises:
      DataError: there are none, or one is damaged.
    """
    return tuple(Photo(name=path.name, pixels=pixels_of(named, path)) for path in open_images(folder)[:at_most])


def photos_of_run(workdir: Path, *, known: Sequence[type] = (), at_most: int | None) -> tuple[Photo, ...]:
    """Reads the first images of a run's evaluation split.

    Args:
      workdir: folder of the run.
      known: classes that a user defined, which the run's config may name.
      at_most: largest number of images; None is as many as the observers use, or 64 where there are none.

    Raises:
      ConfigError: the folder does not contain a run.
      DataError: the split cannot be read.
    """
    experiment = run_experiment(workdir, known=known)
    wanted = experiment.training.observe_images or _DEFAULT_COUNT if at_most is None else at_most
    images = (
        image
        for batch in unshuffled_batches(experiment, batch_size=8)
        for image in np.asarray(batch.image)[batch.is_real]
    )
    return tuple(
        Photo(name=f"{experiment.data.eval_split} {index}", pixels=pixels)
        for index, pixels in enumerate(itertools.islice(images, wanted))
    )


def unshuffled_batches(experiment: Experiment, *, batch_size: int) -> Iterator[Batch]:
    """Returns the batches of the evaluation split, decoded in this thread as they are asked for.

    Raises:
      DataError: the split cannot be read.
    """
    data = dataclasses.replace(experiment.data, num_threads=0)
    source = splits.open_split(data, data.eval_split)
    return feeds.eval_batches(dataclasses.replace(experiment, data=data), source, batch_size=batch_size)
