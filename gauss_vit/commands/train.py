"""`train`: an experiment from its first step, or from where it stopped, to its last."""

import logging
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PyTree

from gauss_vit import experiment as experiments
from gauss_vit.assembly import feeds, initial_params
from gauss_vit.assembly.invocation import Invocation
from gauss_vit.experiment import Experiment
from gauss_vit.inspect import observers
from gauss_vit.models import construct
from gauss_vit.train import bias_effect, loop, mesh, program
from gauss_vit.train.bias_effect import TermEffect
from gauss_vit.train.checkpoint import reader
from gauss_vit.train.normalization import Normalization
from gauss_vit.train.optim import optimizer
from gauss_vit.train.run import Feed, Run
from gauss_vit.train.state import run_key
from gauss_vit.train.workdir import lock
from gauss_vit.weights.intervention import check_applies

_LOGGER = logging.getLogger(__name__)
_NUM_PROOF_IMAGES = 4


def run(invocation: Invocation) -> None:
    """Trains, evaluates, observes and checkpoints; the same command resumes.

    Raises:
      ConfigError: the experiment does not fit the devices, the data or the workdir, or a position bias has no effect.
      UserError: as `gauss_vit.train.loop.fit`.
    """
    experiment, folder = invocation.required_experiment(), invocation.path("workdir")
    check_fits_devices(experiment)
    with lock.hold(folder):
        newest = max(reader.saved_steps(folder), default=None)
    feed = feeds.feed(experiment, bad_files=folder / "bad_files.txt")
    normalization = Normalization(mean=experiment.data.pixel_mean, std=experiment.data.pixel_std)
    initial = initial_params.initial_params(experiment) if newest is None else None
    if not newest:
        params = start_params(experiment, folder if newest == 0 else None) if initial is None else initial
        _LOGGER.info("%s", summary(prove(experiment, params, feed=feed, normalization=normalization)))
    loop.fit(
        Run(
            workdir=folder,
            experiment=experiments.to_json(experiment),
            build=experiment.model.make,
            task=experiment.task,
            normalization=normalization,
            optimizer=experiment.optimizer,
            training=experiment.training,
            mesh=experiment.mesh,
            seed=experiment.seed,
            feed=feed,
            observers=observers.of(experiment, folder),
            with_defaults=experiments.with_defaults,
            initial=initial,
        )
    )


def check_fits_devices(experiment: Experiment) -> None:
    """Finds what does not fit together before anything is read, compiled or written.

    Raises:
      ConfigError: the mesh or a batch size does not fit the devices, the optimizer does not fit model or length, or
        the model has no position information that could be made anew.
    """
    devices = mesh.make(experiment.mesh, jax.devices())
    program.check_batch_sizes(experiment.training, devices)
    _, params = construct.abstract(experiment.model)
    optimizer.make(experiment.optimizer, params, experiment.training.num_steps)
    if experiment.start is not None:
        check_applies(experiment.model, experiment.start.intervention)


def start_params(experiment: Experiment, folder: Path | None) -> PyTree:
    """Gives the parameters before the first step: fresh ones, or those of the checkpoint 0 of a converted workdir."""
    if folder is None:
        return nnx.to_pure_dict(nnx.state(construct.build(experiment.model, run_key(experiment.seed))))
    one_device = mesh.make(mesh.MeshConfig(data=1), jax.devices())
    _, abstract = construct.abstract(experiment.model)
    return reader.restore_params(folder, mesh.with_shardings(one_device, abstract)).arrays


def prove(
    experiment: Experiment, params: PyTree, *, feed: Feed, normalization: Normalization
) -> tuple[TermEffect, ...]:
    """Measures what every position bias does to the first training images.

    Raises:
      ConfigError: a bias does nothing in some block.
    """
    if not experiment.model.has_position_bias:
        return ()
    graph, _ = construct.abstract(experiment.model)
    batch = next(iter(feed.train(0)))
    images = normalization(jnp.asarray(batch.image[:_NUM_PROOF_IMAGES]))
    effects = bias_effect.measure_effects(graph, params, images)
    bias_effect.require_effect(effects)
    return effects


def summary(effects: Sequence[TermEffect]) -> str:
    """Says in how many blocks each position bias is live.

    >>> summary(())
    'the model has no position bias'
    """
    names = dict.fromkeys(effect.term for effect in effects)
    if not names:
        return "the model has no position bias"
    depth = 1 + max(effect.layer for effect in effects)
    live = {name: sum(effect.is_live for effect in effects if effect.term == name) for name in names}
    return "position bias live: " + ", ".join(f"{name} in {count} of {depth} blocks" for name, count in live.items())
