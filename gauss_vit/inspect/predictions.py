"""Predictions of a named model for image files, batch by batch, as the records of its task."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.analysis.microbatches import even_batch_size
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.assembly.preset_images import in_words
from gauss_vit.data import pipeline
from gauss_vit.data.skips import Skips
from gauss_vit.data.sources.image_files import FileSource
from gauss_vit.errors import CheckpointError, DataError
from gauss_vit.inspect.photos import with_remedies
from gauss_vit.tasks.label_map import Drawable, Label, LabelMap, class_labels
from gauss_vit.tasks.task import Records
from gauss_vit.train import mesh
from gauss_vit.train.evaluation import pad
from gauss_vit.train.step import Forward, make_predict_step


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model says of one image.

    Attributes:
      path: the image file.
      records: what the task found.
      label_map: where it found it; None for a task that says nothing of places.
      pictures: files that were written of it, by what they show.
    """

    path: Path
    records: Records
    label_map: LabelMap | None = None
    pictures: Mapping[str, str] = field(default_factory=dict)


def predict(
    named: NamedModel,
    paths: Sequence[Path],
    *,
    limit: int,
    batch_size: int,
    num_threads: int,
    skips: Skips | None = None,
) -> Iterator[tuple[Prediction, ...]]:
    """Yields the predictions of one batch after the other, in the order of the files.

    Images are prepared as in evaluation.

    Args:
      named: the model.
      paths: image files.
      limit: largest number of records of an image.
      batch_size: largest number of images in a batch, before they are spread evenly.
      num_threads: threads that read and decode.
      skips: record of damaged images, which are left out; without it they are errors.

    Raises:
      DataError: an image is damaged or too large, or none can be read.
      CheckpointError: an output is not a finite number.
    """
    devices = mesh.make(mesh.MeshConfig(), jax.local_devices())
    size = even_batch_size(len(paths), at_most=batch_size, num_devices=devices.size)
    params = jax.device_put(named.params, mesh.replicated(devices))
    forward = Forward(graph=named.graph, task=named.task, normalization=named.normalization)
    step = make_predict_step(forward, mesh=devices, params=params)
    batches = pipeline.eval_batches(
        FileSource(paths=tuple(paths)),
        transform=named.transform,
        image_size=named.config.image_size,
        batch_size=size,
        num_threads=num_threads,
        max_pixels=named.max_pixels,
        skips=skips,
    )
    names, num_predicted = in_words(named.class_names), 0
    with with_remedies():
        for number, batch in enumerate(batches):
            outputs = jax.tree.map(np.asarray, step(params, mesh.place_batch(pad(batch, size), devices)))
            in_batch = paths[number * size : (number + 1) * size]
            rows = [row for row in range(len(in_batch)) if batch.is_real[row]]
            num_predicted += len(rows)
            yield tuple(
                _described(named, in_batch[row], _row(outputs, row), class_names=names, limit=limit) for row in rows
            )
    if num_predicted == 0:
        raise DataError(f"none of {len(paths)} images can be read", do="name other images", code="DATA-EMPTY")


def _row(outputs: PyTree, row: int) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[row], outputs)


def _described(
    named: NamedModel, path: Path, prediction: PyTree, *, class_names: Sequence[str], limit: int
) -> Prediction:
    """Describes the prediction for an image.

    Raises:
      CheckpointError: it holds NaN or infinity.
    """
    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(prediction)):
        message = f"{path}: the outputs of {named.name} are not finite"
        raise CheckpointError(message, do="check the weights", code="CKPT-NOT-FINITE")
    return Prediction(
        path=path,
        records=named.task.records(prediction, class_names=class_names, limit=limit),
        label_map=label_map_of(prediction, named),
    )


def label_map_of(prediction: PyTree, named: NamedModel) -> LabelMap | None:
    """Labels the pixels of an image as a prediction for it says; None if it says nothing of places."""
    if not isinstance(prediction, Drawable):
        return None
    return prediction.label_map(labels_of(named))


def labels_of(named: NamedModel) -> tuple[Label, ...]:
    """Returns the labels of a model's classes."""
    return class_labels(named.task.num_classes or 0, class_names=in_words(named.class_names), palette=named.palette)
