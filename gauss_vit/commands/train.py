"""`train`: an experiment from its first step, or from where it stopped, to its last."""

import logging
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from gauss_vit import experiment as experiments
from gauss_vit.commands import classification_data, observers
from gauss_vit.commands.command import Invocation
from gauss_vit.experiment import Experiment
from gauss_vit.models import vit
from gauss_vit.train import checkpoint, loop, mesh, optimizer, proof, workdir
from gauss_vit.train.normalization import Normalization
from gauss_vit.train.proof import TermEffect
from gauss_vit.train.run import Feed, Run
from gauss_vit.train.state import run_key

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
    with workdir.hold(folder):
        is_fresh = not checkpoint.saved_steps(folder)
    feed = classification_data.feed(experiment)
    normalization = Normalization(mean=experiment.data.pixel_mean, std=experiment.data.pixel_std)
    if is_fresh:
        _LOGGER.info("%s", summary(prove(experiment, feed, normalization)))
    loop.fit(
        Run(
            workdir=folder,
            experiment=experiments.to_json(experiment),
            build=lambda key: vit.ViT(experiment.model, key=key),
            task=experiment.task,
            normalization=normalization,
            optimizer=experiment.optimizer,
            training=experiment.training,
            mesh=experiment.mesh,
            seed=experiment.seed,
            feed=feed,
            observers=observers.of(experiment, folder),
        )
    )


def check_fits_devices(experiment: Experiment) -> None:
    """Finds what does not fit together before anything is read, compiled or written.

    Raises:
      ConfigError: the mesh or a batch size does not fit the devices, or the optimizer does not fit model or length.
    """
    devices = mesh.make(experiment.mesh, jax.devices())
    mesh.check_batch_size("training.batch_size", experiment.training.batch_size, devices)
    mesh.check_batch_size("training.eval_batch_size", experiment.training.eval_batch_size, devices)
    _, params = vit.abstract(experiment.model)
    optimizer.make(experiment.optimizer, params, experiment.training.num_steps)


def prove(experiment: Experiment, feed: Feed, normalization: Normalization) -> tuple[TermEffect, ...]:
    """Measures what every position bias of the fresh model does to the first training images.

    Raises:
      ConfigError: a bias does nothing in some block.
    """
    if not experiment.model.terms:
        return ()
    graph, state = nnx.split(vit.build(experiment.model, run_key(experiment.seed)))
    batch = next(iter(feed.train(0)))
    images = normalization(jnp.asarray(batch.image[:_NUM_PROOF_IMAGES]))
    effects = proof.measure_effects(graph, nnx.to_pure_dict(state), images)
    proof.require_effect(effects)
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
