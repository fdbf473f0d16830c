"""The batches that an experiment's data section describes, for training and for evaluation."""

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import jax

from gauss_vit.batches import Batch
from gauss_vit.data import pipeline
from gauss_vit.data.config import Data
from gauss_vit.data.examples import Source
from gauss_vit.data.skips import Skips
from gauss_vit.data.sources import splits
from gauss_vit.data.stall_warning import announce_waits
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.run import Feed

_LOGGER = logging.getLogger(__name__)


def open_split(experiment: Experiment, split: str) -> Source:
    """Opens a split of the experiment's data set and makes sure that the head has its classes.

    Raises:
      DataError: it is missing or damaged.
      ConfigError: the model has another number of classes.
    """
    data = experiment.data
    source = splits.open_split(data, split)
    num_classes = experiment.task.num_classes
    if num_classes is not None and source.num_classes != num_classes:
        raise ConfigError(
            f"task.head.num_classes is {num_classes}, but {data.name} has {source.num_classes} classes",
            do=f"set task.head.num_classes to {source.num_classes}",
        )
    return source


def feed(experiment: Experiment, *, bad_files: Path | None = None) -> Feed:
    """Opens the training split and those of the evaluators as what the training loop reads: this process's share.

    Args:
      experiment: whose data is read.
      bad_files: the file to list skipped images in, where `data.on_error` is "skip".

    Raises:
      DataError: a split is missing or damaged.
      ConfigError: the model has another number of classes.
    """
    train_source = open_split(experiment, experiment.data.train_split)
    measured = {evaluator.name: evaluated(experiment, evaluator) for evaluator in experiment.evaluators}
    eval_sources = {name: open_split(shown, shown.data.eval_split) for name, shown in measured.items()}
    batch_size = experiment.training.batch_size
    skips = _skips(experiment.data, bad_files)
    return Feed(
        train=lambda start: announce_waits(
            train_batches(experiment, train_source, start=start, skips=skips), report=_LOGGER.warning
        ),
        evaluation=lambda name: eval_batches(
            measured[name], eval_sources[name], batch_size=experiment.training.eval_batch_size
        ),
        digest=lambda step: pipeline.batch_digest(train_source, seed=experiment.seed, step=step, batch_size=batch_size),
    )


def evaluated(experiment: Experiment, evaluator: Evaluator) -> Experiment:
    """Returns the experiment whose evaluation split is the one that an evaluator measures."""
    data = experiment.data
    chosen = dataclasses.replace(
        data,
        name=evaluator.data or data.name,
        data_dir=evaluator.data_dir or data.data_dir,
        eval_split=evaluator.split or data.eval_split,
    )
    return dataclasses.replace(experiment, data=chosen)


def train_batches(experiment: Experiment, source: Source, *, start: int, skips: Skips | None = None) -> Iterator[Batch]:
    """The training batches from a step to the end of the run.

    Args:
      experiment: whose transforms, batch size and seed are used.
      source: the split.
      start: the first step.
      skips: takes damaged images; without it they are errors.

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
        max_pixels=experiment.data.max_pixels,
        skips=skips,
    )


def eval_batches(experiment: Experiment, source: Source, *, batch_size: int) -> Iterator[Batch]:
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
        max_pixels=experiment.data.max_pixels,
    )


def _skips(data: Data, bad_files: Path | None) -> Skips | None:
    """What takes damaged training images, if they are to be skipped: each is logged and listed once."""
    if data.on_error == "raise":
        return None

    def report(line: str) -> None:
        _LOGGER.warning("%s%s", line, f" (list in {bad_files})" if bad_files else "")
        if bad_files:
            with bad_files.open("a", encoding="utf-8", errors="replace") as file:
                file.write(line + "\n")

    return Skips(limit=data.max_skipped, report=report)
