"""A run made from foreign weights: its experiment, and a workdir with one checkpoint at step 0."""

from pathlib import Path

import jax
from jaxtyping import PyTree

from gauss_vit.assembly.feeds import Sources, feed
from gauss_vit.assembly.preset_images import preparation
from gauss_vit.assembly.trained_on import imported_from
from gauss_vit.data.config import Data
from gauss_vit.data.examples import palette_of
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.heads.stock import stock_head
from gauss_vit.models.presets import Preset
from gauss_vit.tasks.classification import Classification
from gauss_vit.train import mesh, moving_average
from gauss_vit.train.checkpoint import reader
from gauss_vit.train.checkpoint.metadata import Progress
from gauss_vit.train.checkpoint.origin import Origin
from gauss_vit.train.checkpoint.retention import Retention
from gauss_vit.train.checkpoint.writer import CheckpointWriter
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import SGD, Optimizer, optimizer
from gauss_vit.train.state import TrainState, abstract_model, start
from gauss_vit.train.workdir import lock
from gauss_vit.train.workdir.environment import describe_environment
from gauss_vit.weights.pretrained import Imported


def fine_tuning_experiment(name: str, model: Preset) -> Experiment:
    """Returns an experiment that fine-tunes a preset on ImageNet.

    Images are prepared as those of the preset, and the recipe is the paper's for fine-tuning.

    Args:
      name: timm's name of the preset.
      model: its config, perhaps with a Gaussian bias.
    """
    images = preparation(name)
    data = Data(
        name="imagenet2012",
        train_split="train",
        eval_split="validation",
        train_transforms=(RandomResizedCrop(), RandomFlip()),
        eval_transform=images.transform,
        normalization=images.normalization,
        num_threads=4,
    )
    return Experiment(
        model=model,
        task=Classification(head=stock_head(model)),
        data=data,
        optimizer=Optimizer(rule=SGD(momentum=0.9), learning_rate=0.01, weight_decay=5e-4),
        training=Training(batch_size=128, num_steps=10_000, eval_batch_size=128, log_every=100, checkpoint_every=1000),
        mesh=MeshConfig(),
        seed=0,
    )


def write_run(folder: Path, experiment: Experiment, imported: Imported, *, sources: Sources | None) -> None:
    """Writes a new workdir whose only checkpoint is at step 0.

    Args:
      folder: the workdir.
      experiment: what to train.
      imported: imported parameters.
      sources: data of the experiment; None if they are not at hand.

    Raises:
      ConfigError: the workdir contains a run already.
      StorageError: it cannot be written.
    """
    digest = "" if sources is None else feed(experiment, sources).digest(0)
    class_names, palette = imported.head_classes, imported.palette
    if imported.has_fresh_head and sources is not None:
        class_names, palette = sources.train.class_names, palette_of(sources.train)
    known = imported_from(experiment, class_names, normalization=imported.normalization, palette=palette)
    as_json = experiment.to_json()
    with lock.hold(folder) as hold:
        if reader.saved_steps(folder) or (folder / lock.CONFIG).exists():
            raise ConfigError(f"{folder} holds a run already", do="choose a new --workdir")
        hold.announce()
        state = _state(experiment, imported.params)
        lock.write_json(folder / lock.CONFIG, as_json)
        origin = Origin(environment=describe_environment(jax.devices()), mesh={}, overrides=())
        lock.write_json(folder / lock.ENVIRONMENT, origin.environment)
        retention = Retention(num_newest=1)
        with CheckpointWriter(
            folder, experiment=as_json, trained_on=known, origin=origin, retention=retention
        ) as writer:
            writer.save(state, Progress(step=0, batch_digest=digest, interval=(), metrics={}))


def _state(experiment: Experiment, params: PyTree) -> TrainState:
    """Initialises the optimizer for imported parameters, on one device."""
    model = abstract_model(experiment.network.make)
    transform = optimizer.make(
        experiment.optimizer,
        params,
        experiment.training.total_steps,
        undecayed=model.undecayed,
        statistics=model.statistics,
    )
    device = mesh.replicated(mesh.make(MeshConfig(data=1), jax.local_devices()))
    return moving_average.begin(start(jax.device_put(params, device), transform), experiment.training.ema_decay)
