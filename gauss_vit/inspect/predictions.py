"""Predictions of a named model for image files, batch by batch, as the records of its task."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.analysis.microbatches import even_batch_size
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.assembly.preset_images import in_words
from gauss_vit.batches import Batch, MaskTargets, ObjectTargets
from gauss_vit.data import pipeline
from gauss_vit.data.evaluation_plan import PlannedBatch, plan_batches
from gauss_vit.data.images.transforms import WholeImageTransform
from gauss_vit.data.skips import Skips
from gauss_vit.data.sources.image_files import FileSource
from gauss_vit.errors import CheckpointError, DataError
from gauss_vit.inspect.photos import with_remedies
from gauss_vit.tasks.label_map import Drawable, Label, LabelMap, class_labels
from gauss_vit.tasks.labelled_objects import labelled_objects
from gauss_vit.tasks.task import Records
from gauss_vit.train import mesh
from gauss_vit.train.evaluation import pad
from gauss_vit.train.step import Forward, make_predict_step

_PATIENCE = 64


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model says of one image.

    Attributes:
      path: the image file.
      records: what the task found.
      found: the prediction itself, as NumPy arrays.
      classes: name and colour of each class.
      pictures: files that were written of it, by what they show.
    """

    path: Path
    records: Records
    found: PyTree = None
    classes: tuple[Label, ...] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)

    def label_map(self) -> LabelMap | None:
        """Labels the pixels of the image; None where the task says nothing of places."""
        return self.found.label_map(self.classes) if isinstance(self.found, Drawable) else None


def predict(
    named: NamedModel,
    paths: Sequence[Path],
    *,
    limit: int,
    batch_size: int,
    num_threads: int,
    skips: Skips | None = None,
) -> Iterator[tuple[Prediction, ...]]:
    """Yields predictions in the order of the files, after each batch those that can be given.

    Images are prepared as in evaluation. Whole images of several sizes share batches with files that come up to 64
    places later; until then predictions wait for those before them.

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
    names, num_predicted = in_words(named.class_names), 0
    with with_remedies():
        plan, batches = _read(named, paths, batch_size=size, num_threads=num_threads, skips=skips)
        ordered = _Ordered(plan)
        for planned, batch in zip(plan, batches, strict=True):
            outputs = jax.tree.map(np.asarray, step(params, mesh.place_batch(pad(batch, size), devices)))
            ready = ordered.with_batch(
                {
                    index: _described(named, paths[index], _row(outputs, row), class_names=names, limit=limit)
                    if batch.is_real[row]
                    else None
                    for row, index in enumerate(planned.indices)
                }
            )
            num_predicted += len(ready)
            yield ready
    if num_predicted == 0:
        raise DataError(f"none of {len(paths)} images can be read", do="name other images", code="DATA-EMPTY")


def _read(
    named: NamedModel, paths: Sequence[Path], *, batch_size: int, num_threads: int, skips: Skips | None
) -> tuple[tuple[PlannedBatch, ...], Iterator[Batch]]:
    """Plans batches of files and reads them, whole images with blank targets, which tell their sizes.

    Raises:
      DataError: a header cannot be read; from the iterator, an image.
    """
    is_whole = isinstance(named.eval_transform, WholeImageTransform)
    of_task = "objects" if named.task.targets == "objects" else "masks"
    source = FileSource(paths=tuple(paths), targets=of_task if is_whole else "none")
    plan = plan_batches(
        source,
        transform=named.eval_transform,
        image_size=named.config.image_size,
        batch_size=batch_size,
        num_threads=num_threads,
        max_pixels=named.max_pixels,
        buckets=named.buckets,
        patience=_PATIENCE,
        skips=skips,
    )
    batches = pipeline.eval_batches(
        source,
        transform=named.eval_transform,
        image_size=named.config.image_size,
        batch_size=batch_size,
        num_threads=num_threads,
        max_pixels=named.max_pixels,
        skips=skips,
        plan=plan,
    )
    return plan, batches


class _Ordered:
    """Predictions of batches that are planned by size, put into the order of the files."""

    def __init__(self, plan: Sequence[PlannedBatch]):
        """Waits for the files of all batches; those of none are not waited for."""
        self._waited_for = deque(sorted(index for batch in plan for index in batch.indices))
        self._done: dict[int, Prediction | None] = {}

    def with_batch(self, predictions: Mapping[int, Prediction | None]) -> tuple[Prediction, ...]:
        """Takes the predictions of a batch by the indices of files, and returns those that no earlier file waits for.

        None stands for a file that was skipped.
        """
        self._done |= predictions
        ready = []
        while self._waited_for and self._waited_for[0] in self._done:
            ready.append(self._done.pop(self._waited_for.popleft()))
        return tuple(prediction for prediction in ready if prediction is not None)


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
        found=prediction,
        classes=labels_of(named),
    )


def label_map_of(prediction: PyTree, named: NamedModel) -> LabelMap | None:
    """Labels the pixels of an image as a prediction for it says; None if it says nothing of places."""
    if not isinstance(prediction, Drawable):
        return None
    return prediction.label_map(labels_of(named))


def labelled_map_of(targets: PyTree, named: NamedModel) -> LabelMap | None:
    """Labels the pixels of an image as its targets say; None if they say nothing of places."""
    if isinstance(targets, MaskTargets):
        return LabelMap(values=np.asarray(targets.mask.values), labels=labels_of(named))
    return labelled_objects(targets, labels_of(named)) if isinstance(targets, ObjectTargets) else None


def labels_of(named: NamedModel) -> tuple[Label, ...]:
    """Returns the labels of a model's classes."""
    return class_labels(named.task.num_classes or 0, class_names=in_words(named.class_names), palette=named.palette)
