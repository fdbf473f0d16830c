"""The observer that draws where a model finds what in a few evaluation images, the same ones at every step."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.assembly.named_model import NamedModel, at_step
from gauss_vit.batches import Batch
from gauss_vit.data.examples import palette_of
from gauss_vit.data.sources import splits
from gauss_vit.experiment import Experiment
from gauss_vit.inspect.photos import unshuffled_batches
from gauss_vit.inspect.predictions import label_map_of, labelled_map_of
from gauss_vit.inspect.result_files import write_figures
from gauss_vit.inspect.titles import title_of
from gauss_vit.models.construct import abstract
from gauss_vit.plots.overlay_rows import LabelledPhoto, overlay_rows_figure
from gauss_vit.train.run import Observer
from gauss_vit.train.step import Forward

NUM_PHOTOS = 4
_LOGGER = logging.getLogger(__name__)


def overlay_observer(experiment: Experiment, folder: Path, *, run: str) -> Observer:
    """Returns an observer that writes `step_N_overlays.png`, if predictions can be drawn, and logs no numbers.

    Args:
      experiment: the run's experiment.
      folder: where to write.
      run: name of the run in titles.

    Raises:
      DataError: the evaluation split cannot be read.
    """
    source = splits.open_split(experiment.data, experiment.data.eval_split)
    batch = next(unshuffled_batches(experiment, batch_size=NUM_PHOTOS))
    forward = Forward(
        graph=abstract(experiment.network)[0], task=experiment.task, normalization=experiment.data.normalization
    )
    # Without targets: predictions are to be of the batch's images, whatever the sizes of their files.
    seen = dataclasses.replace(batch, targets=None)
    predict = jax.jit(lambda params, batch: forward.task.predict(forward.outputs(params, batch), batch))

    def observe(step: int, params: PyTree) -> Mapping[str, float]:
        named = dataclasses.replace(
            at_step(experiment, step, params, name=run), class_names=source.class_names, palette=palette_of(source)
        )
        photos = _photos(named, batch, jax.device_get(predict(params, seen)))
        if photos:
            path = folder / f"step_{step:07d}_overlays"
            write_figures(path, overlay_rows_figure(photos, title=title_of(named)), formats=("png",))
            _LOGGER.info("%s.png: %d images", path, len(photos))
        return {}

    return observe


def _photos(named: NamedModel, batch: Batch, predictions: PyTree) -> list[LabelledPhoto]:
    """Joins real images with what the data name and the model finds in them; empty if the model does not say where."""
    photos = []
    for row in np.flatnonzero(batch.is_real).tolist():
        prediction, targets = jax.tree.map(lambda leaf, row=row: leaf[row], (predictions, batch.targets))
        predicted = label_map_of(prediction, named)
        if predicted is not None:
            labelled = labelled_map_of(targets, named)
            photos.append(LabelledPhoto(pixels=batch.image[row], predicted=predicted, labelled=labelled))
    return photos
