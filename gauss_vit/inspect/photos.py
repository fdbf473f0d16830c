"""Images as a model sees them, before normalisation: from files, or from a run's evaluation split."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree, UInt8
from PIL import Image

from gauss_vit.assembly import cpu_devices, feeds
from gauss_vit.assembly.named_model import NamedModel, run_experiment
from gauss_vit.batches import Batch, ClassTargets, MaskTargets, ObjectTargets
from gauss_vit.command_line.console import warn
from gauss_vit.data.images.header import LargeImageError
from gauss_vit.data.images.image import load_image
from gauss_vit.data.images.preprocess import preprocess_for_evaluation
from gauss_vit.data.skips import SKIPPABLE
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.image_files import example_of
from gauss_vit.errors import DataError
from gauss_vit.experiment import Experiment
from gauss_vit.ops.grid import Grid
from gauss_vit.quantities import counted
from gauss_vit.waiting import announced

_DEFAULT_COUNT = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photo:
    """An image as the model sees it.

    Attributes:
      name: name of its file, or its place in the evaluation split.
      pixels: uint8 [height, width, 3], of the model's size.
      label: index of its class; None if it is unknown.
      targets: what the data say is where, `MaskTargets` or `ObjectTargets` of this image; None if they do not say so.
    """

    name: str
    pixels: UInt8[np.ndarray, "height width 3"]
    label: int | None = None
    targets: PyTree = None


def pixels_of(named: NamedModel, image: Path | Photo) -> UInt8[np.ndarray, "height width 3"]:
    """Returns an image at the model's size; a file is read and prepared as in evaluation.

    Raises:
      DataError: the file is damaged, or has more pixels than the limit.
    """
    if isinstance(image, Photo):
        return image.pixels
    with with_remedies():
        view = preprocess_for_evaluation(
            example_of(image),
            transform=named.transform,
            image_size=named.config.image_size,
            max_pixels=named.max_pixels,
        )
    return view.pixels


def photo_of_size(named: NamedModel, path: Path, *, size: Grid) -> Image.Image:
    """Returns the image that a prediction of (height, width) is of: all of the file, or what evaluation keeps of it.

    Raises:
      DataError: the file is damaged, or has more pixels than the limit.
    """
    whole = load_image(path, max_pixels=named.max_pixels)
    return whole if (whole.height, whole.width) == size else Image.fromarray(pixels_of(named, path))


@contextmanager
def with_remedies() -> Iterator[None]:
    """Names the flag that helps where an image of a command line cannot be used.

    Raises:
      DataError: that of the block, with another remedy.
    """
    try:
        yield
    except LargeImageError as error:
        raise DataError(error.message, do=f"{error.remedy_by_flag}, or add --skip_bad", code=error.code) from error
    except DataError as error:
        if error.code not in SKIPPABLE:
            raise
        raise DataError(error.message, do=f"{error.do}, or add --skip_bad", code=error.code) from error


def readable(named: NamedModel, paths: Sequence[Path]) -> tuple[Path, ...]:
    """Decodes images on all cores, and returns the files of those that can be used; warns of every other one.

    Raises:
      DataError: none can be used.
    """
    kept = []
    with announced(f"reading {counted(len(paths), 'image')}"), ThreadPoolExecutor(cpu_devices.available()) as pool:
        for path, fault in zip(paths, pool.map(lambda path: _fault(named, path), paths), strict=True):
            if fault is None:
                kept.append(path)
            else:
                warn(f"skipped {fault}")
    if not kept:
        raise DataError(f"none of {len(paths)} images can be read", do="name other images", code="DATA-EMPTY")
    if len(kept) < len(paths):
        warn(f"skipped {len(paths) - len(kept)} of {len(paths)} images")
    return tuple(kept)


def _fault(named: NamedModel, path: Path) -> str | None:
    """Returns why an image cannot be used; None if it can."""
    try:
        pixels_of(named, path)
    except DataError as error:
        if error.code not in SKIPPABLE:
            raise
        return error.message
    return None


def photos_of(named: NamedModel, paths: Sequence[Path]) -> tuple[Photo, ...]:
    """Reads image files; one in a folder with the name of a class is of that class.

    Raises:
      DataError: one is damaged.
    """
    labels = {name: index for index, name in enumerate(named.class_names)}
    return tuple(
        Photo(name=path.name, pixels=pixels_of(named, path), label=labels.get(path.parent.name)) for path in paths
    )


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
    photos = (photo for batch in unshuffled_batches(experiment, batch_size=8) for photo in _photos_of_batch(batch))
    return tuple(
        dataclasses.replace(photo, name=f"{experiment.data.eval_split} {index}")
        for index, photo in enumerate(itertools.islice(photos, wanted))
    )


def _photos_of_batch(batch: Batch) -> Iterator[Photo]:
    """Returns the real images of a batch, as yet without names, with their class or those of their pixels."""
    pixels, targets = np.asarray(batch.image), batch.targets
    for index in np.flatnonzero(batch.is_real):
        photo = Photo(name="", pixels=pixels[index])
        if isinstance(targets, ClassTargets):
            photo = dataclasses.replace(photo, label=int(targets.label[index]))
        if isinstance(targets, MaskTargets | ObjectTargets):
            row = jax.tree.map(lambda leaf, index=index: np.asarray(leaf[index]), targets)
            photo = dataclasses.replace(photo, targets=row)
        yield photo


def unshuffled_batches(experiment: Experiment, *, batch_size: int) -> Iterator[Batch]:
    """Returns the batches of the evaluation split at the model's size, decoded in this thread as they are asked for.

    Raises:
      DataError: the split cannot be read.
    """
    transform = experiment.data.eval_transform.at_model_size
    data = dataclasses.replace(experiment.data, num_threads=0, eval_transform=transform)
    source = splits.open_split(data, data.eval_split)
    return feeds.eval_batches(dataclasses.replace(experiment, data=data), source, batch_size=batch_size)
