"""What a run draws of itself while it trains: its receptive field and its position biases."""

import dataclasses
import logging
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from gauss_vit.analysis.erf import ErfBatch, accumulate
from gauss_vit.analysis.protocol import BMVC2023
from gauss_vit.analysis.token import center_token
from gauss_vit.commands import classification_data, erf, position
from gauss_vit.commands.feature_reader import features_of
from gauss_vit.commands.model_source import NamedModel
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.models import construct
from gauss_vit.train.normalization import Normalization
from gauss_vit.train.run import Observer

_LOGGER = logging.getLogger(__name__)
_BATCH_SIZE = 8


def of(experiment: Experiment, folder: Path) -> tuple[Observer, ...]:
    """Makes the observers of a run. With several processes there are none: each holds a part of the parameters only.

    Args:
      experiment: of the run.
      folder: its workdir; results go to `erf/` and `position/` in it.

    Raises:
      DataError: the evaluation split cannot be read.
    """
    if jax.process_count() > 1:
        return ()
    observers = [tolerant(erf_observer(experiment, folder / "erf"), name="receptive field")]
    if experiment.model.has_position_bias:
        observers.append(tolerant(position_observer(experiment, folder / "position"), name="position bias"))
    return tuple(observers)


def erf_observer(experiment: Experiment, folder: Path) -> Observer:
    """Measures the central token's receptive field on the first evaluation images, and writes `step_N.*`.

    It follows the paper's protocol; where a final normalisation has not moved from its start, there is nothing to see
    and the step has no picture.
    """
    batches = _eval_images(experiment)
    tokens = (center_token(experiment.model.grid),)

    def observe(step: int, params: PyTree) -> None:
        named = _at_step(experiment, step, params)
        features = features_of(named.config, named.params, layer=None, protocol=BMVC2023)
        maps = accumulate(features, batches, tokens=tokens, protocol=BMVC2023).maps()
        measurement = erf.Measurement(
            tokens=tokens, layer=None, protocol=BMVC2023, paths=(), batch_size=_BATCH_SIZE, stem=named.name
        )
        erf.write_results(folder, named, measurement, maps)

    return observe


def position_observer(experiment: Experiment, folder: Path) -> Observer:
    """Fits a Gaussian to the position bias of every block, and writes `step_N_position.*`."""

    def observe(step: int, params: PyTree) -> None:
        named = _at_step(experiment, step, params)
        for stem, analysis in position.analyse(named).items():
            position.write_results(folder / stem, named, analysis)

    return observe


def tolerant(observe: Observer, *, name: str) -> Observer:
    """Lets training go on where there is nothing to draw, as for a model that has become constant."""

    def observe_or_warn(step: int, params: PyTree) -> None:
        try:
            observe(step, params)
        except ConfigError as error:
            _LOGGER.warning("step %d: no %s: %s", step, name, error.message)

    return observe_or_warn


def _at_step(experiment: Experiment, step: int, params: PyTree) -> NamedModel:
    """The model of a step on one device, under a name that sorts by step."""
    graph, _ = construct.abstract(experiment.model)
    return NamedModel(
        name=f"step_{step:07d}",
        config=experiment.model,
        graph=graph,
        params=jax.device_put(jax.device_get(params)),
        step=step,
        transform=experiment.data.eval_transform,
        normalization=Normalization(mean=experiment.data.pixel_mean, std=experiment.data.pixel_std),
    )


def _eval_images(experiment: Experiment) -> tuple[ErfBatch, ...]:
    """The first evaluation images, normalised, decoded once for all steps."""
    data = dataclasses.replace(experiment.data, num_threads=0)
    source = classification_data.open_split(experiment, data.eval_split)
    batches = classification_data.eval_batches(
        dataclasses.replace(experiment, data=data), source, batch_size=_BATCH_SIZE
    )
    normalize = Normalization(mean=data.pixel_mean, std=data.pixel_std)
    wanted = np.arange(math.ceil(experiment.training.observe_images / _BATCH_SIZE) * _BATCH_SIZE)
    is_wanted = (wanted < experiment.training.observe_images).reshape(-1, _BATCH_SIZE)
    return tuple(
        ErfBatch(image=normalize(jnp.asarray(batch.image)), is_real=jnp.asarray(batch.is_real & among))
        for batch, among in zip(batches, is_wanted, strict=False)
    )
