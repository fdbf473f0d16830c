"""The batches that an experiment's data section describes, for training and for evaluation."""

from collections.abc import Iterator

import jax

from gauss_vit.batches import ClassificationBatch
from gauss_vit.data import pipeline
from gauss_vit.data.examples import Source
from gauss_vit.data.sources import open_source
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.train.run import Feed


def open_split(experiment: Experiment, split: str) -> Source:
    """Opens a split of the experiment's data set and makes sure that the model has its classes.

    Raises:
      DataError: it is missing or damaged.
      ConfigError: the model has another number of classes.
    """
    data = experiment.data
    source = open_source(data.data_dir, data.name, split)
    if source.num_classes != experiment.model.num_classes:
        raise ConfigError(
            f"model.num_classes is {experiment.model.num_classes}, but {data.name} has {source.num_classes} classes",
            do=f"set model.num_classes to {source.num_classes}",
        )
    return source


def feed(experiment: Experiment) -> Feed:
    """Opens both splits of an experiment as what the training loop reads; this process's share of every batch."""
    train_source = open_split(experiment, experiment.data.train_split)
    eval_source = open_split(experiment, experiment.data.eval_split)
    batch_size = experiment.training.batch_size
    return Feed(
        train=lambda start: train_batches(experiment, train_source, start=start),
        evaluation=lambda: eval_batches(experiment, eval_source, batch_size=experiment.training.eval_batch_size),
        digest=lambda step: pipeline.batch_digest(train_source, seed=experiment.seed, step=step, batch_size=batch_size),
    )


def train_batches(experiment: Experiment, source: Source, *, start: int) -> Iterator[ClassificationBatch]:
    """The training batches from a step to the end of the run.

    Raises:
      DataError: the source does not fill one batch.
    """
    return pipeline.train_batches(
        source,
        transforms=experiment.data.train_transforms,
        image_size=experiment.model.image_size,
        batch_size=experiment.training.batch_size,
        seed=experiment.seed,
        start_step=start,
        num_steps=experiment.training.num_steps,
        num_threads=experiment.data.num_threads,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )


def eval_batches(experiment: Experiment, source: Source, *, batch_size: int) -> Iterator[ClassificationBatch]:
    """Every example of a split once, in order, the last batch padded.

    Args:
      experiment: whose transform and image size are used.
      source: the split.
      batch_size: examples in a batch over all processes; it changes no number.
    """
    return pipeline.eval_batches(
        source,
        transform=experiment.data.eval_transform,
        image_size=experiment.model.image_size,
        batch_size=batch_size,
        num_threads=experiment.data.num_threads,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
