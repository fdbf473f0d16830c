"""Observers of a run, which draw and log its receptive field and its position biases while it trains.

The numbers of a receptive field are logged as `erf/...`, lengths in pixels; those of position terms as
`<term>/<number>/layer_00`, from the first layer on and as the mean over heads where these have their own: the Gaussian
gives `gaussian/sigma/layer_00` (in patches) and `gaussian/amplitude/layer_00`, without sign.
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from gauss_vit.analysis.erf import ErfBatch, ErfMap, accumulate
from gauss_vit.analysis.gaussian_fit import fit_receptive_fields
from gauss_vit.analysis.protocol import BMVC2023
from gauss_vit.analysis.summary import summarize
from gauss_vit.analysis.token import center_token
from gauss_vit.assembly.named_model import at_step
from gauss_vit.distributed import processes
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.inspect.erf_results import write_maps
from gauss_vit.inspect.erf_run import Measurement
from gauss_vit.inspect.features import features_of
from gauss_vit.inspect.overlay_observer import overlay_observer
from gauss_vit.inspect.photos import unshuffled_batches
from gauss_vit.inspect.position import PositionGroup, position_groups
from gauss_vit.inspect.position_results import analyse_biases, write_biases
from gauss_vit.train import mesh
from gauss_vit.train.run import Observer

_LOGGER = logging.getLogger(__name__)
_BATCH_SIZE = 8


def of(experiment: Experiment, folder: Path) -> tuple[Observer, ...]:
    """Returns the observers of a run.

    There are none for no images. Of several processes the first alone observes, while the others wait.

    Args:
      experiment: the run's experiment.
      folder: its workdir; results go to `erf/`, `position/` and `overlays/` in it.

    Raises:
      DataError: the evaluation split cannot be read.
    """
    if not experiment.training.observe_images:
        return ()
    run = folder.absolute().name
    observers = [tolerant(erf_observer(experiment, folder / "erf", run=run), name="receptive field")]
    if experiment.model.has_position_bias:
        observers.append(tolerant(position_observer(experiment, folder / "position", run=run), name="position bias"))
    if experiment.data.targets != "classes":
        observers.append(overlay_observer(experiment, folder / "overlays", run=run))
    return tuple(on_first(observer, limit=experiment.limits.observe) for observer in observers)


def pictures(folder: Path, step: int) -> dict[str, Path]:
    """Finds the PNG files that the observers of a workdir wrote at a step, as `erf`, `position/...` and `overlays`."""
    stem = _stem(step)
    return {
        "/".join([room, *filter(None, [path.stem.removeprefix(stem).removeprefix(f"_{room}").strip("_")])]): path
        for room in ("erf", "position", "overlays")
        for path in sorted((folder / room).glob(f"{stem}*.png"))
    }


def erf_observer(experiment: Experiment, folder: Path, *, run: str) -> Observer:
    """Returns an observer that measures the central token's receptive field on the first evaluation images.

    It follows the paper's protocol, logs numbers and writes `step_N.*`. While a final normalisation still has its
    initial parameters the field is not defined, and the step has neither figures nor numbers. `run` names the run in
    titles.
    """
    batches = _eval_images(experiment)
    tokens = (center_token(experiment.model.grid),)

    def observe(step: int, params: PyTree) -> Mapping[str, float]:
        named = at_step(experiment, step, params, name=run)
        features = features_of(named.config, named.params, layer=None, protocol=BMVC2023)
        maps = accumulate(features, batches, tokens=tokens, protocol=BMVC2023).maps()
        measurement = Measurement(
            tokens=tokens, layer=None, protocol=BMVC2023, images=(), batch_size=_BATCH_SIZE, stem=_stem(step)
        )
        _LOGGER.info("%s", write_maps(folder, named, measurement, maps))
        return erf_numbers(maps[0])

    return observe


def position_observer(experiment: Experiment, folder: Path, *, run: str) -> Observer:
    """Returns an observer that fits a Gaussian to the position bias of every block and logs what was learned.

    It writes `step_N_position.*`; `run` names the run in titles.
    """

    def observe(step: int, params: PyTree) -> Mapping[str, float]:
        named = at_step(experiment, step, params, name=run)
        for result in analyse_biases(named, stem=_stem(step)):
            _LOGGER.info("%s", write_biases(folder, named, result))
        return term_numbers(position_groups(named.config, named.params))

    return observe


def erf_numbers(field: ErfMap) -> dict[str, float]:
    """Returns the numbers of a receptive field relative to its target patch; those of a fit only if it converged."""
    (fit,) = fit_receptive_fields(field.values[None])
    summary = summarize(field, fit)
    numbers = {
        "erf/half_mass_radius": summary.half_mass_radius,
        "erf/mass_shift_x": summary.mass_shift_yx[1],
        "erf/mass_shift_y": summary.mass_shift_yx[0],
        "erf/magnitude": field.magnitude,
    }
    if summary.fit_shift_yx is None:
        return numbers
    shift_y, shift_x = summary.fit_shift_yx
    return numbers | {
        "erf/sigma_x": fit.sigma_x,
        "erf/sigma_y": fit.sigma_y,
        "erf/r_squared": fit.r_squared,
        "erf/center_shift_x": shift_x,
        "erf/center_shift_y": shift_y,
    }


def term_numbers(groups: tuple[PositionGroup, ...]) -> dict[str, float]:
    """Lists what the position terms of every layer have learned, as the mean over heads.

    Returns:
      Values by `<term>/<number>/layer_00`, such as `gaussian/sigma/layer_00`; layers are counted through all groups.
    """
    numbers: dict[str, float] = {}
    first = 0
    for group in groups:
        numbers |= {
            f"{name}/layer_{layer:02d}": float(values.mean(dtype=np.float64))
            for name, all_layers in group.numbers.items()
            for layer, values in enumerate(all_layers, start=first)
        }
        first += group.tables.shape[0]
    return numbers


def tolerant(observe: Observer, *, name: str) -> Observer:
    """Wraps an observer so that training continues if there is nothing to draw, as for a model that became constant."""

    def observe_or_warn(step: int, params: PyTree) -> Mapping[str, float]:
        try:
            return observe(step, params)
        except ConfigError as error:
            _LOGGER.warning("step %d: no %s: %s", step, name, error.message)
            return {}

    return observe_or_warn


def on_first(observe: Observer, *, limit: float) -> Observer:
    """Lets process 0 alone observe, with whole copies of the parameters, which take all processes to be made."""

    def observe_on_first(step: int, params: PyTree) -> Mapping[str, float]:
        whole = _on_one_device(params)
        return processes.on_first("the observers", lambda: dict(observe(step, whole)), limit=limit)

    return observe_on_first


def _on_one_device(params: PyTree) -> PyTree:
    """Returns whole copies of parameters on one device of this process."""
    leaves = jax.tree.leaves(params)
    if all(leaf.is_fully_addressable for leaf in leaves):
        return jax.device_put(jax.device_get(params))
    return mesh.on_one_device(params, leaves[0].sharding.mesh)


def _stem(step: int) -> str:
    """Names result files so that they sort by step."""
    return f"step_{step:07d}"


def _eval_images(experiment: Experiment) -> tuple[ErfBatch, ...]:
    """Returns the first evaluation images, normalised, decoded once for all steps."""
    batches = unshuffled_batches(experiment, batch_size=_BATCH_SIZE)
    normalize = experiment.data.normalization
    wanted = np.arange(math.ceil(experiment.training.observe_images / _BATCH_SIZE) * _BATCH_SIZE)
    is_wanted = (wanted < experiment.training.observe_images).reshape(-1, _BATCH_SIZE)
    return tuple(
        ErfBatch(image=normalize(jnp.asarray(batch.image)), is_real=jnp.asarray(batch.is_real & among))
        for batch, among in zip(batches, is_wanted, strict=False)
    )
